"""Clipped weights: the ratio becomes a bounded weight of a token that is never dropped (CISPO)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import log_ratio, unbound, with_ratio
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class ClippedWeight:
    """Weigh each token's policy gradient by its clipped ratio, taken as a constant.

        A' = A sg(clip(r, 1 - low, 1 + high))           ratio' = pi / sg(pi)           bounds that never bind

    Gradient of the host's loss: `-clip(r) A grad log pi` for every token, where PPO's clip gives some tokens none.

    Args:
        low: the least weight is `1 - low`; 1 for no lower bound.
        high: the greatest weight is `1 + high`.

    Raises:
        ValueError: `low` outside [0, 1], or `high` below 0.

    Reference:
        MiniMax, "MiniMax-M1", arXiv 2506.13585 (CISPO).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=torch.tensor([[0.7, 0.0]]) - 1, old_logprobs=-ones, advantages=ones, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ClippedWeight(high=0.5)(batch).advantages  # e^0.7 is beyond 1.5
        tensor([[1.5000, 1.0000]])
    """

    low: float = 1.0
    high: float
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs", "clip_low", "clip_high"})

    def __post_init__(self) -> None:
        require(0 <= require_finite("low", self.low) <= 1, "low", "lie in [0, 1]", self.low)
        require(require_finite("high", self.high) >= 0, "high", "be at least 0", self.high)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch whose advantages carry the weight and whose ratio is 1 with a gradient."""
        counted = batch.mask.bool()
        weight = log_ratio(batch).exp().clamp(1 - self.low, 1 + self.high)
        return batch.replace(
            advantages=torch.where(counted, batch.advantages * weight, batch.advantages),
            old_logprobs=with_ratio(batch, torch.zeros_like(weight), counted),
            **unbound(batch, counted),
        )
