"""SAC's temperature: dual ascent on the constraint that the entropy is at least the target."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

from entrostat.controllers._base import clip, measured, require_box, require_nonnegative
from entrostat.errors import require


class DualState(NamedTuple):
    coef: float  # the coefficient in force, always positive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dual:
    """The multiplier of the constraint H >= target, parametrised by its logarithm so that it stays positive.

        maximise the return subject to H >= target:   min over coef > 0 of  coef * (H - target)
        log coef <- log coef + rate * (target - H)             the coefficient grows while H is too low

    A step on `log coef` by the gradient of the objective in `coef` is the step of most SAC codes; the chain rule would
    add a factor `coef` (`through_exp=True`), and with it a small coefficient hardly moves. SAC's Adam hides that
    difference; plain steps do not, hence the default.

    A target that the policy cannot reach would drive the coefficient to infinity: set a `ceiling` that the loss
    can bear. The loose default bounds are exp(-30) and exp(30).

    Args:
        target: least entropy, nats per token. It depends on the model: no default.
        rate: relative change of the coefficient per nat and update.
        initial: first coefficient, positive.
        floor: least coefficient, positive.
        ceiling: greatest coefficient.
        through_exp: multiply the step by the coefficient.

    Raises:
        ValueError: a negative target or rate, a floor that is not positive, an empty box.

    Reference:
        Haarnoja et al., Soft Actor-Critic Algorithms and Applications, arXiv 1812.05905, section 5.

    Example:
        >>> dual = Dual(target=0.5, rate=2.0, initial=0.01)
        >>> round(dual.coefficient(dual.update(dual.init(), entropy=0.25)), 6)  # 0.01 * exp(2 * 0.25)
        0.016487
    """

    target: float
    rate: float
    initial: float
    floor: float = math.exp(-30)
    ceiling: float = math.exp(30)
    through_exp: bool = False

    def __post_init__(self) -> None:
        require_nonnegative("target", self.target)
        require_nonnegative("rate", self.rate)
        require_box(floor=self.floor, initial=self.initial, ceiling=self.ceiling)
        require(self.floor > 0, "floor", "be positive", self.floor, "The law moves the logarithm of the coefficient.")

    def init(self) -> DualState:
        """Return the state with the initial coefficient."""
        return DualState(coef=float(self.initial))

    def coefficient(self, state: DualState) -> float:
        """Return the coefficient in force."""
        return state.coef

    def update(self, state: DualState, *, entropy: float) -> DualState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        step = self.rate * (self.target - value) * (state.coef if self.through_exp else 1.0)
        # Bounded before exp, which overflows past 709, and after, since exp(log(x)) may miss x by a rounding.
        moved = clip(math.log(state.coef) + step, math.log(self.floor), math.log(self.ceiling))
        return DualState(coef=clip(math.exp(moved), self.floor, self.ceiling))
