from __future__ import annotations

from typing import Any, Literal

from entrostat.controllers import Constant, Controller, Hysteresis
from entrostat.edits import FlexibleBounds, PreservedGradient
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="clip bounds", paper="chen2026flexible", needs={"old_logprobs", "total_steps"}, ratio_only=True)
def flexible_clipping(
    *,
    shape: Literal["ID", "DID", "OD"] = "ID",
    high: float = 0.5,
    high_slope: float = -0.25,
    low: float = 0.3,
    low_slope: float = -0.13,
    eps: float = 0.2,
    fraction: float = 0.2,
    preserve: bool = False,
) -> Recipe:
    """Flexible clipping: bounds looser for rare tokens, opened on one side or the other by schedule or switch.

        U(p) = high_slope p + high         M(p) = low_slope p + low         l = 1 - 2 k / T

        "ID"   k <= T/2:  l U + (1 - l) eps  /  eps        k > T/2:  eps  /  (1 + l) M - l eps
        "DID"  k <= T/2:  l eps + (1 - l) U  /  eps        k > T/2:  U    /  (1 + l) M - l eps
        "OD"   switched on: U / eps; off: eps / M          on at H <= H_min, off at H > tau_high
               H_min = fraction H_init                     tau_high = H_min + (H_init - H_min) (1 - k/T)

    The default, "ID" (increase, then decrease), is reported best. Above the slash: how far the ratio may rise above 1;
    below: how far it may fall below. `k` is the optimizer step, `p` the token's probability under the policy being
    trained; the implicit bound is solved in `edits.FlexibleBounds`.

    How sure: medium. Bounds, schedules and switch come from a post by an author, slopes and intercepts from a third
    party's note. The initial state of the switch is not given: ours is off. The name speaks of preserved gradients, and
    what we read does not say how the bounds and those go together: `preserve` is off by default.

    Args:
        shape: increase then decrease, decrease-increase-decrease, or oscillating decay.
        high: upper bound at probability 0.
        high_slope: its change towards probability 1.
        low: lower bound at probability 0.
        low_slope: its change towards probability 1.
        eps: the standard bound.
        fraction: "OD" only: the low edge, as a fraction of the first measured entropy.
        preserve: let tokens beyond the bounds keep the gradient of the bound, as GPPO does.

    Raises:
        ValueError: an unknown shape, a bound or slope out of range, `fraction` outside (0, 1).

    Reference:
        Chen et al., "Flexible Entropy Control in RLVR", arXiv 2602.09782.

    Example:
        >>> flexible_clipping(shape="OD").controller
        Hysteresis(fraction=0.2, total=None)
    """
    bounds = FlexibleBounds(
        shape=shape, high=high, high_slope=high_slope, low=low, low_slope=low_slope, eps=eps
    )  # fmt: skip
    controller: Controller[Any] = Hysteresis(fraction=fraction) if shape == "OD" else Constant(coef=0.0)
    preserved = (PreservedGradient(low=1.0, high=1.0),) if preserve else ()
    return Recipe(controller=controller, edits=(bounds, *preserved))
