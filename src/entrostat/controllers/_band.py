"""AEnt's law: a pure integral controller with a dead band."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, NamedTuple

from entrostat.controllers._annealed import Annealed
from entrostat.controllers._base import Controller, clip, measured, require_box, require_nonnegative
from entrostat.errors import require, require_count, sentence

_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%")


class BandState(NamedTuple):
    coef: float  # the coefficient in force
    updates: int  # windows measured so far
    warmup_sum: float  # sum of the entropies measured in warm-up; a relative band is a fraction of its mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class Band:
    """Keep the entropy H inside [low, high]: raise the coefficient below, lower it above, leave it alone inside.

        coef <- clip(coef - rate * (min(0, H - low) + max(0, H - high)), floor, ceiling)

    Updates are numbered from 1, and number `warmup + 1` is the first that may move the coefficient: with `warmup=0`
    that is the very first. The two public implementations each count differently. verl's `warmup=W` is
    `warmup=W - 1` here (W of at least 1), AReaL's `warmup_steps=W` is `warmup=W + 1`.

    No band in nats suits two models, so both edges may be percentages of the mean entropy over the warm-up updates.
    There is no decay inside the band: a coefficient that was driven to `ceiling` stays there until the entropy
    leaves the band at the top.

    Args:
        low: lower edge in nats per token, or a text such as `"40%"`.
        high: upper edge, of the same kind as `low`.
        rate: coefficient per nat outside the band and update.
        floor: least coefficient. AEnt keeps it above 0; here 0 is safe too.
        ceiling: greatest coefficient.
        initial: coefficient before and during warm-up; the bonus is active there.
        warmup: updates that hold the coefficient; at least 1 for a relative band.

    Raises:
        ValueError: an empty band or box, a negative number, edges of two kinds, a relative band without warm-up.
        TypeError: an edge is neither a number nor a text.

    Reference:
        Shen, On Entropy Control in LLM-RL Algorithms, arXiv 2509.03493, equation 4.1.

    Example:
        >>> aent = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
        >>> state = aent.update(aent.init(), entropy=0.05)  # 0.1 nats too low: 0.002 + 0.002 * 0.1
        >>> round(aent.coefficient(state), 7)
        0.0022
        >>> relative = Band(low="40%", high="60%", rate=0.01, floor=0, ceiling=1, initial=0.1, warmup=2)
        >>> state = relative.update(relative.update(relative.init(), entropy=1.5), entropy=2.5)
        >>> relative.band(state)
        (0.8, 1.2)
    """

    low: float | str
    high: float | str
    rate: float
    floor: float
    ceiling: float
    initial: float
    warmup: int = 0

    def __post_init__(self) -> None:
        require_count("warmup", self.warmup)
        require_nonnegative("rate", self.rate)
        require_box(floor=self.floor, initial=self.initial, ceiling=self.ceiling)
        same = isinstance(self.low, str) == isinstance(self.high, str)
        require(same, "high", f"be of the kind of `low`={self.low!r}", self.high, "Give both in nats or both in %.")
        low, high = _edge("low", self.low), _edge("high", self.high)
        require(low <= high, "low", f"be at most `high`={self.high!r}", self.low)
        measurable = not self._relative or self.warmup >= 1
        remedy = "The band is a fraction of the entropy measured there."
        require(measurable, "warmup", "be at least 1 for a relative band", self.warmup, remedy)

    @property
    def _relative(self) -> bool:
        return isinstance(self.low, str)

    def init(self) -> BandState:
        """Return the state with the initial coefficient."""
        return BandState(coef=float(self.initial), updates=0, warmup_sum=0.0)

    def coefficient(self, state: BandState) -> float:
        """Return the coefficient in force."""
        return state.coef

    def band(self, state: BandState) -> tuple[float, float] | None:
        """Return the edges in nats per token; `None` while a relative band is still being measured."""
        edges = _edge("low", self.low), _edge("high", self.high)
        if not self._relative:
            return edges
        if state.updates < self.warmup:
            return None
        anchor = state.warmup_sum / self.warmup
        return edges[0] * anchor, edges[1] * anchor

    def update(self, state: BandState, *, entropy: float) -> BandState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        updates, band = state.updates + 1, self.band(state)
        if updates <= self.warmup or band is None:
            return state._replace(updates=updates, warmup_sum=state.warmup_sum + value)
        low, high = band
        # At most one of the two is not 0; inside the band both are, and the coefficient stays where it is.
        outside = min(0.0, value - low) + max(0.0, value - high)
        return state._replace(updates=updates, coef=clip(state.coef - self.rate * outside, self.floor, self.ceiling))


def _edge(name: str, value: float | str) -> float:
    """Return an edge as a number: nats, or the fraction that a percentage stands for."""
    if not isinstance(value, str):
        require_nonnegative(name, value, 'Write a fraction of the warm-up entropy as a text: "40%".')
        return float(value)
    percent = _PERCENT.fullmatch(value)
    if percent is None:
        raise ValueError(sentence(name, 'be nats or a percentage such as "40%"', value))
    return float(percent[1]) / 100


def resolved_band(controller: Controller[Any], state: Any) -> tuple[float, float] | None:
    """Return the edges, nats per token, that the controller keeps the entropy between right now.

    Args:
        controller: any controller; a wrapper answers for the one it wraps.
        state: its state.

    Returns:
        `(low, high)`; `None` if the law has no band or still measures it.

    Example:
        >>> aent = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
        >>> resolved_band(aent, aent.init())
        (0.15, 0.24)
    """
    match controller:
        case Band():
            return controller.band(state)
        case Annealed():
            return resolved_band(controller.controller, state.inner)
        case _:
            return None
