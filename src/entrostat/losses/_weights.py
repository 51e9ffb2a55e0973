"""Weights of tokens, without gradient: by how good a sample is, or by how uncertain the policy is at a token."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.errors import require, require_finite


def advantage_coefficient(
    advantages: Tensor, *, beta: float, scale: float = 1.0, low: float | None = None, high: float | None = None,
    floor: float = 0.0,
) -> Tensor:  # fmt: skip
    """The coefficient of a divergence to a reference, smaller where the advantage is larger.

        beta_eff = max(beta - scale clip(A, low, high), floor)

    A good sample may move further from the reference, a bad one is held closer. `max` and `clip` are our choice:
    without a floor, an advantage above `beta / scale` would pay for divergence, which has no upper bound. The paper
    clips advantages too, at bounds we could not find, so there is no default for them.

    Args:
        advantages: any shape; taken without gradient.
        beta: the coefficient at advantage 0.
        scale: how much one unit of advantage takes off it (1 in the paper).
        low: least advantage that counts; None for no bound.
        high: greatest; None for no bound.
        floor: least coefficient, at most 0; minus infinity for none.

    Returns:
        The coefficient of each element, without gradient.

    Raises:
        ValueError: a negative `beta` or `scale`, `low` above `high`, or a floor above 0.

    Reference:
        Fan et al., ADRPO, arXiv 2510.18053 (`beta - A`, as a post of its author writes it).

    Example:
        >>> import torch
        >>> advantage_coefficient(torch.tensor([-1.0, 0.0, 1.0]), beta=0.25)
        tensor([1.2500, 0.2500, 0.0000])
    """
    require(require_finite("scale", scale) >= 0, "scale", "be at least 0", scale)
    require(floor <= 0, "floor", "be at most 0", floor)
    if low is not None and high is not None:
        require(low <= high, "low", f"be at most `high`={high!r}", low)
    require(require_finite("beta", beta) >= 0, "beta", "be at least 0", beta)
    clipped = advantages.detach().clamp(-math.inf if low is None else low, math.inf if high is None else high)
    return (beta - scale * clipped).clamp(min=floor)


def peak_weights(entropy: Tensor, mask: Tensor, *, quantile: float) -> Tensor:
    """Weights `[B, T]` that make a sum over a response the mean over its entropy peaks.

        kept_{b,t} = H_{b,t} > the `quantile` of H_{b,.} over the response's own tokens
        w_{b,t}    = kept_{b,t} / sum_t kept_{b,t}                          0 in a response that keeps nothing

    The quantile interpolates linearly between neighbours. Strictly above it: a response whose tokens are all alike, or
    that has a single one, keeps nothing.

    Args:
        entropy: `[B, T]`, nats; taken without gradient; values at masked positions do not enter.
        mask: `[B, T]`, nonzero where a token counts.
        quantile: share of a response's tokens to leave out, in [0, 1).

    Returns:
        `[B, T]`, without gradient; each row sums to 1 or is all 0.

    Raises:
        ValueError: `quantile` outside [0, 1).

    Reference:
        The peak-entropy mask of SIREN, arXiv 2509.25133, as in its code.

    Example:
        >>> import torch
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
