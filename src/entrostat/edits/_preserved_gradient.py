"""Preserved gradient: what PPO's clip drops keeps a bounded gradient (GPPO, CE-GPPO)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import clipped, unbound, with_ratio
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class PreservedGradient:
    """Give the tokens beyond the clip bounds the gradient of the bound, times a factor for each side.

        A < 0, r < 1 - clip_low:     ratio' = low  (1 - clip_low)  pi / sg(pi)
        A > 0, r > 1 + clip_high:    ratio' = high (1 + clip_high) pi / sg(pi)          unclipped; all others as before

    The gradient of such a token is `ratio' A grad log pi`, its loss `-ratio' A`. It reads the bounds of the batch: put
    it after the edits that set them. A factor of 0 leaves that side to the host's clip.

    Args:
        low: factor below the lower bound, where unlikely tokens are pushed down further: raising it lowers entropy.
        high: factor above the upper bound, where unlikely tokens are pushed up further: raising it raises entropy.

    Raises:
        ValueError: a factor that is negative or not finite.

    Reference:
        Su et al., "CE-GPPO", arXiv 2509.20712, equation 8; with both factors 1, "Klear-Reasoner", arXiv 2508.07629.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> logprobs = torch.tensor([[0.5]]).log()
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=0 * ones, advantages=-ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=0.2 * ones, clip_high=0.2 * ones)
        >>> edited = PreservedGradient(low=0.75)(batch)
        >>> round(float((edited.logprobs - edited.old_logprobs).exp()), 4)  # 0.75 x 0.8
        0.6
    """

    low: float = 0.0
    high: float = 0.0
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        require(require_finite("low", self.low) >= 0, "low", "be at least 0", self.low)
        require(require_finite("high", self.high) >= 0, "high", "be at least 0", self.high)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch in which the tokens beyond the bounds have a bounded ratio with a gradient."""
        if self.low == self.high == 0:
            return batch
        below, above = clipped(batch)
        factor = torch.where(below, self.low * (1 - batch.clip_low), self.high * (1 + batch.clip_high))
        kept = (below | above) & (factor > 0)
        return batch.replace(
            old_logprobs=with_ratio(batch, torch.where(kept, factor, 1).log(), kept), **unbound(batch, kept)
        )
