"""The mean over responses of the mean entropy of each response's most uncertain positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from entrostat.batch import TokenBatch
from entrostat.losses import peak_weights
from entrostat.terms.signals._base import Weighted


@dataclass(frozen=True, kw_only=True)
class PeakEntropies:
    """Feed the controller `(1/R) sum_b mean of H over the peaks of response b`, nats; `H` is the recipe's measure.

    Every response counts once, whatever its length; one without a peak (its tokens are all alike, or there is none)
    counts with 0.

    Args:
        quantile: share of each response's positions to leave out, in [0, 1).

    Raises:
        ValueError: `quantile` outside [0, 1).

    Reference:
        SIREN, arXiv 2509.25133, and its code.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=torch.tensor([[0.5, 2.0], [1.0, 1.0]]), kept_mass=ones, clip_low=ones,
        ...                    clip_high=ones)
        >>> PeakEntropies()(batch).values
        tensor([2., 0.])
    """

    quantile: float = 0.8

    def __post_init__(self) -> None:
        peak_weights(torch.zeros(0, 1), torch.zeros(0, 1), quantile=self.quantile)  # refuses one out of range

    def __call__(self, batch: TokenBatch) -> Weighted:
        """Return the mean entropy `[B]` of each response's peaks; every response counts."""
        weights = peak_weights(batch.clamped_entropy, batch.mask, quantile=self.quantile)
        peaks = (weights * torch.where(batch.mask.bool(), batch.clamped_entropy.detach(), 0)).sum(-1)
        return Weighted(peaks, torch.ones_like(peaks))
