"""What every edit is: a pure function from what the host's objective reads to what it will read instead."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from entrostat.batch import TokenBatch


@runtime_checkable
class Edit(Protocol):
    """`TokenBatch` -> `TokenBatch`.

    In every micro-batch it may change `advantages`, `old_logprobs`, `clip_low` and `clip_high`: those are what a host's
    loss reads (`EDITABLE`); and `weight`, which only the recipe's terms read. As a rollout edit it sees the fresh
    rollouts of a whole generation batch once, before the first update on them, with whole groups (some of them perhaps
    on other ranks: use `gather`); there it may change `advantages`, `weight` and `logit_scale` (`ROLLOUT_EDITABLE`),
    which stay with the responses through every update. `logprobs`, `entropy`, `clamped_entropy` and `old_entropy` are
    then those of the policy that wrote them, or NaN unless the recipe needs `old_entropy`.

    `sets` names what it puts in place whatever stood there before: two edits that set one field contradict each other.

    Contract, tested for every member: no gradient flows into what it changes; masked positions stay as they are;
    neutral settings return the batch itself.
    """

    sets: ClassVar[frozenset[str]]
    """Fields that it sets rather than scales or masks."""

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the edited batch."""
        ...


EDITABLE = ("advantages", "old_logprobs", "clip_low", "clip_high")
"""The fields a host takes back from the edits."""

ROLLOUT_EDITABLE = ("advantages", "weight", "logit_scale")
"""The fields a host takes back from the rollout edits."""
