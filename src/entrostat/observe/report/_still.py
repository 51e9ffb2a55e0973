"""The large plot as a still picture: it is seen before the scripts have run, and by readers without scripts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from entrostat.observe.report._curves import unpacked
from entrostat.observe.report._drawings import Drawing
from entrostat.observe.report._groups import Group
from entrostat.observe.text import label

NAME = 20
"""Characters of a name that stands in a plot."""
WIDTH, HEIGHT = 1000, 400
_POINTS = 120
"""Points of a line: the picture is there for a moment, or for those who get no other."""
_APART = 5.0
"""Percent of the height by which names at the ends of lines are held apart."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Still:
    """What the picture shows; places are percent of its width or height."""

    shapes: list[tuple[str, int, str]]
    """Kind, the recipe's colour, points as SVG writes them."""
    up: list[tuple[float, str]]
    along: list[tuple[float, str]]
    names: list[tuple[float, int, str]]
    """Place at the right edge, the recipe's colour, its name."""
    shade: float
    """How dark a band is."""


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Where a step and a value lie, in percent of the picture."""

    last: int
    low: float
    high: float
    log: bool

    def x(self, step: float) -> float:
        return 100 * step / (1.015 * self.last)

    def y(self, value: float) -> float:
        return 100 * (self.scaled(value) - self.low) / (self.high - self.low)

    def scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def still(drawing: Drawing, groups: Sequence[Group], last: int) -> Still:
    """Return the picture of a plot over the steps up to `last`."""
    frame = _frame(drawing, last)

    def points(line: dict[str, object]) -> str:
        whole = unpacked(line)
        some = whole if line["kind"] in ("band", "half") else whole[:: 1 + len(whole) // _POINTS] + whole[-1:]
        return " ".join(f"{WIDTH / 100 * frame.x(x):.0f},{HEIGHT * (1 - frame.y(y) / 100):.1f}" for x, y in some)

    names: list[tuple[float, int, str]] = []
    floor = -math.inf
    medians = [line for line in drawing.lines if line["kind"] == "median"]
    for line in sorted(medians, key=lambda line: line["y"][-1]):
        group = groups[line["g"]]
        floor = max(frame.y(line["y"][-1]), floor + _APART)
        names.append((floor, group.color, label(group.label, limit=NAME)))
    heights = _decades(frame) if frame.log else _round(frame.low, frame.high)
    return Still(
        shapes=[(line["kind"], groups[line["g"]].color, points(line)) for line in drawing.lines],
        up=[(frame.y(value), f"{value:g}") for value in heights],
        along=[(frame.x(step), f"{step:g}") for step in _round(0, last)],
        names=names,
        shade=drawing.shade,
    )


def _frame(drawing: Drawing, last: int) -> _Frame:
    bare = _Frame(last, 0.0, 1.0, drawing.log)
    heights = [bare.scaled(value) for line in drawing.lines for value in line["y"] if value > 0 or not drawing.log]
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return _Frame(last, low - room, high + room, drawing.log)


def _round(low: float, high: float) -> list[float]:
    """Return about five round numbers between two others."""
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    gap = next(size * times for times in (1, 2, 5, 10) if size * times >= rough)
    return [float(f"{gap * i:.6g}") for i in range(math.ceil(low / gap), math.floor(high / gap) + 1)]


def _decades(frame: _Frame) -> list[float]:
    powers = range(math.floor(frame.low), math.ceil(frame.high) + 1)
    places = [times * 10.0**power for power in powers for times in (1, 2, 5)]
    return [float(f"{value:.3g}") for value in places if frame.low <= math.log10(value) <= frame.high]
