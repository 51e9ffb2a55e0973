"""What every edit is: a pure function from what the host's objective reads to what it will read instead."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from entrostat.batch import TokenBatch


@runtime_checkable
class Edit(Protocol):
    """`TokenBatch` -> `TokenBatch`.

    It may change `advantages`, `old_logprobs`, `clip_low` and `clip_high`: those are what a host's loss reads.

    Contract, tested for every member: no gradient flows into what it changes; masked positions stay as they are;
    neutral settings return the batch itself.
    """

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the edited batch."""
        ...


EDITABLE = ("advantages", "old_logprobs", "clip_low", "clip_high")
"""The fields a host takes back from the edits."""
