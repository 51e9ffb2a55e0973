"""The interface of an edit, and the statistics of responses and prompt groups that several of them share."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from entrostat.batch import TokenBatch

__all__ = ["EDITABLE", "ROLLOUT_EDITABLE", "Edit"]

EPSILON = 1e-4
"""Added to a group's standard deviation, as in TRL."""

EDITABLE = ("advantages", "old_logprobs", "clip_low", "clip_high")
"""The fields a host takes back from the edits."""

ROLLOUT_EDITABLE = ("advantages", "weight", "logit_scale")
"""The fields a host takes back from the rollout edits."""


@runtime_checkable
class Edit(Protocol):
    """`TokenBatch` -> `TokenBatch`.

    In every micro-batch it may change `advantages`, `old_logprobs`, `clip_low` and `clip_high`: those are what a host's
    loss reads (`EDITABLE`); and `weight`, which only the recipe's terms read. As a rollout edit it sees the fresh
    rollouts of a whole generation batch once, before the first update on them, with whole groups (some of them perhaps
    on other ranks: use `gather`); there it may change `advantages`, `weight` and `logit_scale` (`ROLLOUT_EDITABLE`),
    which stay with the responses through every update. `logprobs`, `entropy`, `clamped_entropy` and `old_entropy` are
    then those of the policy that wrote them, or NaN unless the recipe needs `old_entropy`.

    `sets` names the fields that it replaces whatever stood there before: two edits that set one field contradict each
    other.

    Contract, tested for every member: no gradient flows into the fields it changes; masked positions stay as they are;
    neutral settings return the batch itself.
    """

    sets: ClassVar[frozenset[str]]
    """Fields that it sets rather than scales or masks."""

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the edited batch."""
        ...


def response_sum(batch: TokenBatch, values: Tensor) -> Tensor:
    """Return the sum `[B]` of `values [B, T]` over each response's own tokens, without gradient."""
    return torch.where(batch.mask.bool(), values.detach().double(), 0).sum(1)


def response_mean(batch: TokenBatch, values: Tensor) -> Tensor:
    """Return the mean `[B]` over each response's own tokens; 0 for a response without any."""
    return response_sum(batch, values) / batch.mask.bool().sum(1).clamp(min=1)


def z_scores(batch: TokenBatch, values: Tensor, among: Tensor | None = None, offset: float = EPSILON) -> Tensor:
    """Return `(x - group mean) / (group std + offset)` of `values [B]`, the groups taken over all ranks.

    Here and below, responses outside `among [B]` have no say in the statistics; None means that all have.
    """
    everyone, same, size = _groups(batch, values, among)
    mean = (same * everyone).sum(1) / size.clamp(min=1)
    # Divided by n - 1, as TRL's standard deviation is.
    variance = (same * (everyone - mean.unsqueeze(1)) ** 2).sum(1) / (size - 1).clamp(min=1)
    return (values.double() - mean) / (variance.sqrt() + offset)


def leave_one_out(batch: TokenBatch, values: Tensor, among: Tensor | None = None) -> Tensor:
    """Return `x - mean of the others in its group`, over all ranks; 0 for a response alone in its group."""
    everyone, same, size = _groups(batch, values, among)
    baseline = ((same * everyone).sum(1) - values.double()) / (size - 1).clamp(min=1)
    return torch.where(size > 1, values.double() - baseline, 0)


def group_share(batch: TokenBatch, kept: Tensor, among: Tensor | None = None) -> Tensor:
    """Return the share `[B]` of its group, over all ranks, that `kept [B]` marks."""
    everyone, same, size = _groups(batch, kept, among)
    return (same * everyone).sum(1) / size.clamp(min=1)


def with_tokens(batch: TokenBatch) -> Tensor:
    """Return which responses `[B]` have a token of their own: the others say nothing of the policy."""
    return batch.mask.bool().any(1)


def spread(batch: TokenBatch, advantages: Tensor) -> Tensor:
    """Return one advantage per response as one per token; masked positions keep what stood there."""
    per_token = advantages.to(batch.advantages.dtype).unsqueeze(1)
    return torch.where(batch.mask.bool(), per_token, batch.advantages.detach())


def _groups(batch: TokenBatch, values: Tensor, among: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the values of all ranks `[M]`, which of them form the group of each row here, `[B, M]`, and how many."""
    ids = batch.given("group_ids")
    everyone, theirs = batch.gather(values.detach().double()), batch.gather(ids)
    # Members of one group may lie on several ranks, so each row here is compared with the rows of all ranks.
    same = (ids.unsqueeze(1) == theirs.unsqueeze(0)).double()
    if among is not None:
        same = same * batch.gather(among.double())
    return everyone, same, same.sum(1)
