"""Entropy-ratio mask: tokens whose whole distribution moved too far carry no gradient (ERC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import freeze, log_ratio
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class EntropyRatioMask:
    """Keep the gradient of a token only while its entropy is near what it was at the rollout.

        q = (H + offset) / (H_old + offset)          kept iff  1 - low < q < 1 + high

    Elsewhere the token's loss is a constant of the same value: the logged loss and every denominator stay. It acts on
    top of the host's clip, and reads the bounds and the ratio of the batch: put it last. Both entropies have to come
    from one kernel; the offset is the only guard of nearly certain tokens, whose ratio is otherwise rounding noise.

    Args:
        low: how far the entropy ratio may fall below 1; 1 for no lower bound.
        high: how far it may rise above 1; infinity for no upper bound.
        offset: added to both entropies, nats.

    Raises:
        ValueError: `low` outside [0, 1], `high` below 0, an offset that is not positive, or a batch without
            `old_entropy`.

    Reference:
        Su et al., "Entropy Ratio Clipping", arXiv 2512.05591.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 3)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, clamped_entropy=ones,
        ...                    entropy=torch.tensor([[1.0, 1.04, 1.2]]), old_entropy=ones, kept_mass=ones,
        ...                    clip_low=0.2 * ones, clip_high=0.2 * ones)
        >>> EntropyRatioMask()(batch).clip_high  # the third is clipped where it stands
        tensor([[0.2000, 0.2000, 0.0000]])
    """

    low: float = 0.05
    high: float = 0.05
    offset: float = 1e-8
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        require(0 <= require_finite("low", self.low) <= 1, "low", "lie in [0, 1]", self.low)
        require(self.high >= 0, "high", "be at least 0", self.high)
        require(require_finite("offset", self.offset) > 0, "offset", "be positive", self.offset)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the gradient of the tokens outside the band taken away."""
        if self.low == 1 and self.high == torch.inf:
            return batch
        q = (batch.entropy.detach().float() + self.offset) / (batch.given("old_entropy").float() + self.offset)
        outside = batch.mask.bool() & ~((q > 1 - self.low) & (q < 1 + self.high))
        return freeze(batch, outside, _host_s_ratio(batch))


def _host_s_ratio(batch: TokenBatch) -> torch.Tensor:
    """Return what the host multiplies the advantage by: the ratio, or the bound where that is the lesser objective."""
    ratio = log_ratio(batch).exp()
    return torch.where(
        batch.advantages < 0,
        torch.maximum(ratio, 1 - batch.clip_low),
        torch.minimum(ratio, 1 + batch.clip_high),
    )
