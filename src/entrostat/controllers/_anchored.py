"""AER's law: the target is a fraction of the entropy the run started with."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

from entrostat.controllers._base import clip, measured, require_box, require_nonnegative
from entrostat.errors import require, require_choice, require_count, require_finite

AnchoredForm = Literal["proportional", "sign"]


class AnchoredState(NamedTuple):
    coef: float  # the coefficient in force
    updates: int  # windows measured so far
    anchor_sum: float  # sum of the first `anchor_updates` entropies; its mean is the anchor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anchored:
    """Let the entropy H fall to a fraction of its initial value H_0 and hold it there.

        target = fraction * H_0              H_0: mean of the first `anchor_updates` entropies
        coef  <- clip(coef + rate * (target - H), floor, ceiling)           "proportional", from the next update on
        coef  <- clip(coef + rate * sign(target - H), floor, ceiling)       "sign"

    Confidence: the paper was read in abstract only. Anchor, "moderate and below the initial entropy", and the on-line
    coefficient are confirmed there; both forms of the update and every default but `fraction` are ours. We prefer the
    proportional one, which rests at the target where the other one cycles around it.
    The paper's difficulty weight per question belongs to the loss term, not to the coefficient.

    Args:
        fraction: target as a fraction of H_0, in (0, 1].
        rate: coefficient per nat and update, or per update (`"sign"`). The paper's value is unknown: no default.
        initial: first coefficient. 0 as H starts above the target, so that no bonus is wanted yet.
        floor: least coefficient; 0 as the law is a bonus only.
        ceiling: greatest coefficient, `None` for no bound.
        anchor_updates: windows whose mean entropy is H_0; the coefficient is held at `initial` there.
        form: `"proportional"` or `"sign"`.

    Raises:
        ValueError: a fraction outside (0, 1], a negative rate, an empty box, an unknown form.

    Reference:
        AER (adaptive entropy regularisation), arXiv 2510.10959.

    Example:
        >>> aer = Anchored(fraction=0.4, rate=0.5)
        >>> start = aer.update(aer.init(), entropy=1.0)
        >>> aer.target(start), aer.coefficient(start)
        (0.4, 0.0)
        >>> round(aer.coefficient(aer.update(start, entropy=0.3)), 6)  # 0.1 nats below the target
        0.05
    """

    fraction: float = 0.4
    rate: float
    initial: float = 0.0
    floor: float = 0.0
    ceiling: float | None = None
    anchor_updates: int = 1
    form: AnchoredForm = "proportional"

    def __post_init__(self) -> None:
        inside = 0 < require_finite("fraction", self.fraction) <= 1
        require(inside, "fraction", "lie in (0, 1]", self.fraction)
        require_nonnegative("rate", self.rate)
        require_count("anchor_updates", self.anchor_updates, least=1)
        bounded = max(self.initial, self.floor) if self.ceiling is None else self.ceiling
        require_box(floor=self.floor, initial=self.initial, ceiling=bounded)
        require_choice("form", self.form, AnchoredForm)

    def init(self) -> AnchoredState:
        """Return the state with the initial coefficient."""
        return AnchoredState(coef=float(self.initial), updates=0, anchor_sum=0.0)

    def coefficient(self, state: AnchoredState) -> float:
        """Return the coefficient in force."""
        return state.coef

    def target(self, state: AnchoredState) -> float | None:
        """Return the target in nats per token; `None` while the anchor is still being measured."""
        if state.updates < self.anchor_updates:
            return None
        return self.fraction * state.anchor_sum / self.anchor_updates

    def update(self, state: AnchoredState, *, entropy: float) -> AnchoredState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        updates, target = state.updates + 1, self.target(state)
        # The anchor is still being measured: no target to be above or below, so the coefficient waits.
        if target is None:
            return state._replace(updates=updates, anchor_sum=state.anchor_sum + value)
        ceiling = math.inf if self.ceiling is None else self.ceiling
        gap = target - value
        step = gap if self.form == "proportional" else float((gap > 0) - (gap < 0))
        coef = clip(state.coef + self.rate * step, self.floor, ceiling)
        return state._replace(updates=updates, coef=coef)
