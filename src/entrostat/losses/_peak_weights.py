"""The mean over responses of the mean over each response's most uncertain positions, as weights per token."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.errors import require, require_finite


def peak_weights(entropy: Tensor, mask: Tensor, *, quantile: float) -> Tensor:
    """Weights `[B, T]` that make a sum over a response the mean over its entropy peaks.

        kept_{b,t} = H_{b,t} > the `quantile` of H_{b,.} over the response's own tokens
        w_{b,t}    = kept_{b,t} / sum_t kept_{b,t}                          0 in a response that keeps nothing

    The quantile interpolates linearly between neighbours. Strictly above it: a response whose tokens are all alike, or
    that has a single one, keeps nothing.

    Args:
        entropy: `[B, T]`, nats; taken without gradient. Whatever stands at masked positions does not enter.
        mask: `[B, T]`, nonzero where a token counts.
        quantile: share of a response's tokens to leave out, in [0, 1).

    Returns:
        `[B, T]`, without gradient; each row sums to 1 or is all 0.

    Raises:
        ValueError: `quantile` outside [0, 1).

    Reference:
        The peak-entropy mask of SIREN, arXiv 2509.25133, as in its code.

    Example:
        >>> peak_weights(torch.tensor([[0.1, 0.9, 0.5, 0.3, 9.0]]), torch.tensor([[1, 1, 1, 1, 0]]), quantile=0.5)
        tensor([[0.0000, 0.5000, 0.5000, 0.0000, 0.0000]])
    """
    require(0 <= require_finite("quantile", quantile) < 1, "quantile", "lie in [0, 1)", quantile)
    counted = mask.bool()
    values = entropy.detach().float()
    kept = (counted & (values > _row_quantile(values, counted, quantile))).float()
    return kept / kept.sum(-1, keepdim=True).clamp(min=1)


def _row_quantile(values: Tensor, counted: Tensor, quantile: float) -> Tensor:
    """Return the quantile `[B, 1]` of each row's counted values; that of a row without any is infinite."""
    ordered = torch.where(counted, values, torch.inf).sort(-1).values
    place = quantile * (counted.sum(-1, keepdim=True) - 1).clamp(min=0)
    below, above = ordered.gather(-1, place.floor().long()), ordered.gather(-1, place.ceil().long())
    return torch.where(below == above, below, torch.lerp(below, above, place.frac().to(below.dtype)))
