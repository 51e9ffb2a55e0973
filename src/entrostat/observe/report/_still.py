"""The large plot as a still picture: it is seen before the scripts have run, and by readers without scripts."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from entrostat.observe.report._drawings import Drawing
from entrostat.observe.report._facts import Group
from entrostat.observe.report._lines import unpacked
from entrostat.observe.report._look import NAME, Look
from entrostat.observe.report._text import label

_WIDTH, _HEIGHT = 1000, 400
_POINTS = 120
"""Points of a line: the picture is there for a moment, or for those who get no other."""
_SHAPES = {"band": "polygon", "half": "polygon", "seed": "polyline", "median": "polyline"}
_APART = 0.05
"""Share of the height by which names at the ends of lines are held apart."""


@dataclasses.dataclass(frozen=True)
class _Frame:
    """Where a step and a value lie, both as shares of the picture."""

    last: int
    low: float
    high: float
    log: bool

    def x(self, step: float) -> float:
        return step / (1.015 * self.last)

    def y(self, value: float) -> float:
        return (self.scaled(value) - self.low) / (self.high - self.low)

    def scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


def still(drawing: Drawing, groups: list[Group], look: Look, last: int) -> str:
    """Return the picture as HTML. What it shows stands in words beside it, so it is hidden from screen readers."""
    frame = _frame(drawing, last)
    lines = "".join(_shape(line["kind"], groups[line["g"]], unpacked(line), frame, look) for line in drawing.lines)
    longest = max(len(label(group.label, limit=NAME)) for group in groups)
    bands = sum(line["kind"] == "band" for line in drawing.lines)
    style = f"--names:{longest}; --thin:{look.thin:.2f}; --band:{max(0.03, 0.15 / max(1, bands)):.2f}"
    return (
        f'<div class="still" aria-hidden="true" style="{style}">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">{lines}</svg>'
        f"{_axes(frame)}{_names(drawing, groups, frame, look)}</div>"
    )


def _frame(drawing: Drawing, last: int) -> _Frame:
    bare = _Frame(last, 0.0, 1.0, drawing.log)
    heights = [bare.scaled(value) for line in drawing.lines for value in line["y"] if value > 0 or not drawing.log]
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return _Frame(last, low - room, high + room, drawing.log)


def _shape(kind: str, group: Group, points: list[tuple[float, float]], frame: _Frame, look: Look) -> str:
    some = points if _SHAPES[kind] == "polygon" else points[:: 1 + len(points) // _POINTS] + points[-1:]
    drawn = " ".join(f"{_WIDTH * frame.x(x):.0f},{_HEIGHT * (1 - frame.y(y)):.1f}" for x, y in some)
    return f'<{_SHAPES[kind]} class="{kind} {look.style(group)}" points="{drawn}"/>'


def _axes(frame: _Frame) -> str:
    heights = _decades(frame) if frame.log else _round(frame.low, frame.high)
    up = "".join(f'<span class="up" style="bottom:{100 * frame.y(y):.1f}%">{y:g}</span>' for y in heights)
    steps = _round(0, frame.last)
    return up + "".join(f'<span class="along" style="left:{100 * frame.x(x):.1f}%">{x:g}</span>' for x in steps)


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


def _names(drawing: Drawing, groups: list[Group], frame: _Frame, look: Look) -> str:
    medians = [line for line in drawing.lines if line["kind"] == "median"]
    floor, names = -1.0, ""
    for line in sorted(medians, key=_end):
        group = groups[line["g"]]
        floor = max(frame.y(_end(line)), floor + _APART)
        place = f'class="at {look.style(group)}" style="bottom:{100 * floor:.1f}%"'
        names += f"<b {place}>{label(group.label, limit=NAME)}</b>"
    return names


def _end(line: dict[str, Any]) -> float:
    return line["y"][-1]
