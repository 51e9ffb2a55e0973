"""A proportional law: the coefficient is an offset plus the distance to the target, in a box."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from entrostat.controllers._base import clip, measured, require_box, require_nonnegative
from entrostat.errors import require_finite


class ProportionalState(NamedTuple):
    coef: float  # the coefficient in force


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proportional:
    """Set the coefficient by how far the entropy H is from the target; nothing accumulates.

        coef = clip(offset + gain (target - H), floor, ceiling)

    Args:
        target: nats per token.
        offset: coefficient at the target.
        gain: how far one nat below the target raises it.
        floor: least coefficient.
        ceiling: greatest coefficient.
        initial: coefficient before the first measurement.

    Raises:
        ValueError: an empty box, a negative target or gain, a number that is not finite.

    Reference:
        SCOPE-RL (arXiv 2510.08141 v7), whose temperature this is.

    Example:
        >>> law = Proportional(target=0.5, offset=1.0, floor=0.8, ceiling=1.2, initial=1.2)
        >>> round(law.coefficient(law.update(law.init(), entropy=0.6)), 6)
        0.9
    """

    target: float
    offset: float = 0.0
    gain: float = 1.0
    floor: float
    ceiling: float
    initial: float

    def __post_init__(self) -> None:
        require_nonnegative("target", self.target)
        require_nonnegative("gain", self.gain)
        require_finite("offset", self.offset)
        require_box(floor=self.floor, initial=self.initial, ceiling=self.ceiling)

    def init(self) -> ProportionalState:
        """Return the state with the initial coefficient."""
        return ProportionalState(coef=float(self.initial))

    def coefficient(self, state: ProportionalState) -> float:
        """Return the coefficient in force."""
        return state.coef

    def update(self, state: ProportionalState, *, entropy: float) -> ProportionalState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        return ProportionalState(coef=clip(self.offset + self.gain * (self.target - value), self.floor, self.ceiling))
