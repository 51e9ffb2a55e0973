"""A switch with hysteresis whose upper edge falls over the run, so that entropy oscillates less and less."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from entrostat.controllers._base import RUN_LENGTH, bound_total, measured, require_total
from entrostat.errors import require, require_finite


class HysteresisState(NamedTuple):
    updates: int  # windows measured so far
    initial: float  # the first measured entropy; 0 before it
    raising: bool  # whether the switch is on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hysteresis:
    """Switch on when the entropy H has fallen to a low edge, off when it has risen above a high one.

        low  = fraction * H_0                              H_0: the first measured entropy
        high = low + (H_0 - low) * (1 - updates / total)   falls from H_0 to the low edge
        on if H <= low, off if H > high, else as before; the coefficient is 1 when on, 0 when off

    Off at the start: the entropy is at its highest there. (The source does not say.)

    Args:
        fraction: low edge as a fraction of H_0, in (0, 1).
        total: windows of the whole run; `None` until the host binds it.

    Raises:
        ValueError: a fraction outside (0, 1), or an update before `total` is bound.

    Reference:
        Chen et al., "Flexible Entropy Control in RLVR", arXiv 2602.09782 (oscillatory decay).

    Example:
        >>> law = Hysteresis(fraction=0.2, total=4)
        >>> state, seen = law.init(), []
        >>> for entropy in (1.0, 0.2, 0.5, 0.4):  # high edges 0.8, 0.6, 0.4, 0.2
        ...     state = law.update(state, entropy=entropy)
        ...     seen.append(law.coefficient(state))
        >>> seen
        [0.0, 1.0, 0.0, 0.0]
    """

    fraction: float = 0.2
    total: int | None = dataclasses.field(default=None, metadata={RUN_LENGTH: True})

    def __post_init__(self) -> None:
        inside = 0 < require_finite("fraction", self.fraction) < 1
        require(inside, "fraction", "lie in (0, 1)", self.fraction)
        require_total(self.total)

    def init(self) -> HysteresisState:
        """Return the state with the switch off."""
        return HysteresisState(updates=0, initial=0.0, raising=False)

    def coefficient(self, state: HysteresisState) -> float:
        """Return 1 while the switch is on, else 0."""
        return 1.0 if state.raising else 0.0

    def edges(self, state: HysteresisState) -> tuple[float, float]:
        """Return the low and the high edge in force, nats per token."""
        low = self.fraction * state.initial
        return low, low + (state.initial - low) * max(0.0, 1 - state.updates / bound_total(self.total))

    def update(self, state: HysteresisState, *, entropy: float) -> HysteresisState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        initial = state.initial if state.updates else value
        moved = HysteresisState(updates=state.updates + 1, initial=initial, raising=state.raising)
        low, high = self.edges(moved)
        # The low edge wins: at the end both are one.
        return moved._replace(raising=value <= low or (state.raising and value <= high))
