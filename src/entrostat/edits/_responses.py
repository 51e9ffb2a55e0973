"""Statistics of whole responses and of their prompt groups, whose members may lie on several ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.batch import TokenBatch

EPSILON = 1e-4
"""What TRL adds to a group's standard deviation."""


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
    same = (ids.unsqueeze(1) == theirs.unsqueeze(0)).double()
    if among is not None:
        same = same * batch.gather(among.double())
    return everyone, same, same.sum(1)
