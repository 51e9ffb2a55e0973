"""ADRPO's advantage-dependent coefficient."""

from __future__ import annotations

import math

from torch import Tensor

from entrostat.errors import require, require_finite


def advantage_coefficient(
    advantages: Tensor, *, beta: float, scale: float = 1.0, low: float | None = None, high: float | None = None,
    floor: float = 0.0,
) -> Tensor:  # fmt: skip
    """The coefficient of a divergence to a reference, smaller where the advantage is larger.

        beta_eff = max(beta - scale clip(A, low, high), floor)

    A good sample may move further from the reference, a bad one is held closer. `max` and `clip` are ours to choose:
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
