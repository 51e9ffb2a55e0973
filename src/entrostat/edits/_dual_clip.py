"""Dual clip: a bound on the loss of tokens with negative advantage whose ratio exploded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import freeze, log_ratio
from entrostat.errors import require


@dataclass(frozen=True, kw_only=True)
class DualClip:
    """Stop the gradient of tokens with A < 0 beyond a ratio of `limit`; their loss stays at `-limit A`.

        A < 0:   loss = min(-min(r A, clip(r) A), -limit A)

    Args:
        limit: the ratio beyond which a punished token is left alone; at least 1. Infinity is neutral.

    Raises:
        ValueError: a limit below 1.

    Reference:
        Ye et al., "Mastering Complex Control in MOBA Games with Deep RL", arXiv 1912.09729.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> batch = TokenBatch(logprobs=2 * ones, old_logprobs=-ones, advantages=-ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> from entrostat.losses import clipped_surrogate
        >>> edited = DualClip(limit=10)(batch)
        >>> clipped_surrogate(edited.logprobs, edited.old_logprobs, edited.advantages, clip_low=edited.clip_low,
        ...                   clip_high=edited.clip_high).loss  # e^3 without it
        tensor([[10.]])
    """

    limit: float
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        require(self.limit >= 1, "limit", "be at least 1", self.limit)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the gradient of those tokens taken away."""
        if self.limit == torch.inf:
            return batch
        ratio = log_ratio(batch).exp()
        beyond = batch.mask.bool() & (batch.advantages < 0) & (ratio > self.limit)
        return freeze(batch, beyond, torch.full_like(ratio, self.limit))
