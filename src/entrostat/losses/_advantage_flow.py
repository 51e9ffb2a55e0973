"""ADRPO's advantage-dependent coefficient, and its loss for flow matching."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.errors import require, require_finite, sentence


def advantage_coefficient(
    advantages: Tensor, *, beta: float, scale: float = 1.0, low: float | None = None, high: float | None = None,
    floor: float = 0.0,
) -> Tensor:  # fmt: skip
    """The coefficient of a divergence to a reference, smaller where the advantage is larger.

        beta_eff = max(beta - scale clip(A, low, high), floor)

    A good sample is let go further from the reference, a bad one is held closer. `max` and `clip` are ours to choose:
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


def advantage_flow_matching(
    velocity: Tensor, target: Tensor, reference: Tensor, advantages: Tensor, *, beta: float, scale: float = 1.0,
    low: float | None = None, high: float | None = None, floor: float = 0.0,
) -> Tensor:  # fmt: skip
    """ADRPO for a flow-matching model: match good samples, leave bad ones, and stay near the reference accordingly.

        loss = A ||v - u||^2 + beta_eff ||v - v_ref||^2          A = R(x_1, c) - mean reward of the condition c

    `u` is the flow's target velocity, `beta_eff` as in `advantage_coefficient`. The advantage enters both terms, so a
    bad sample is pushed away from. While no bound binds, the two coefficients add up to `beta`: the loss is a bowl of
    that curvature around `v_ref + (A / beta) (u - v_ref)` whatever the sign of `A`.

    Args:
        velocity: `[B, ...]`, the model's, with gradient.
        target: likewise, `u`; taken without gradient.
        reference: likewise, the frozen model's; taken without gradient.
        advantages: `[B]`; taken without gradient.
        beta: coefficient of the distance to the reference at advantage 0.
        scale: as in `advantage_coefficient`.
        low: likewise.
        high: likewise.
        floor: likewise.

    Returns:
        `[B]`, the loss of each sample: squared norms, summed over all but the first dimension.

    Raises:
        ValueError: shapes that differ, or a setting that `advantage_coefficient` refuses.

    Reference:
        Fan et al., ADRPO, arXiv 2510.18053 (the W2 form, as a post of its author writes it).

    Example:
        >>> v, u, ref = torch.tensor([[1.0]]), torch.tensor([[3.0]]), torch.tensor([[0.0]])
        >>> float(advantage_flow_matching(v, u, ref, torch.tensor([0.5]), beta=1.0))  # 0.5 * 4 + 0.5 * 1
        2.5
    """
    for name, value, shape in (
        ("target", target, velocity.shape), ("reference", reference, velocity.shape),
        ("advantages", advantages, velocity.shape[:1]),
    ):  # fmt: skip
        if value.shape != shape:
            raise ValueError(sentence(name, f"have the shape {tuple(shape)}", tuple(value.shape)))
    beta_eff = advantage_coefficient(advantages, beta=beta, scale=scale, low=low, high=high, floor=floor)
    towards, away = _squared_norm(velocity - target.detach()), _squared_norm(velocity - reference.detach())
    return advantages.detach() * towards + beta_eff * away


def _squared_norm(values: Tensor) -> Tensor:
    return torch.linalg.vecdot(values.flatten(1), values.flatten(1))
