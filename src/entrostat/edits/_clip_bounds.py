"""Clip bounds: how far the ratio may leave 1 on either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class ClipBounds:
    """Set both clip bounds of every token, whatever the host's own settings are.

        min(r A, clip(r, 1 - low, 1 + high) A)        binds only where A > 0 and r > 1 + high, or A < 0 and r < 1 - low

    Args:
        low: how far the ratio may fall below 1; None leaves the host's. At most 1.
        high: how far it may rise above 1; None leaves the host's, infinity never clips.

    Raises:
        ValueError: a negative bound, or `low` above 1.

    Reference:
        Yu et al., "DAPO", arXiv 2503.14476 (bounds that differ).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=0.2 * ones, clip_high=0.2 * ones)
        >>> edited = ClipBounds(high=0.28)(batch)
        >>> round(float(edited.clip_low), 2), round(float(edited.clip_high), 2)
        (0.2, 0.28)
    """

    low: float | None = None
    high: float | None = None
    sets: ClassVar[frozenset[str]] = frozenset({"clip_low", "clip_high"})

    def __post_init__(self) -> None:
        if self.low is not None:
            require(0 <= require_finite("low", self.low) <= 1, "low", "lie in [0, 1]", self.low)
        if self.high is not None:
            require(self.high >= 0, "high", "be at least 0", self.high)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with these bounds at every response token."""
        counted = batch.mask.bool()
        changes = {
            name: torch.where(counted, bound, before)
            for name, bound, before in (
                ("clip_low", self.low, batch.clip_low), ("clip_high", self.high, batch.clip_high)
            )
            if bound is not None
        }  # fmt: skip
        return batch.replace(**changes) if changes else batch
