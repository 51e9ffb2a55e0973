"""A plot in numbers: one line or bars, marked places and a marked stretch. The page's template draws it as SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from entrostat.observe.html import round_values
from entrostat.observe.text import number, percent

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis: its title, its range, and how its values are written."""

    title: str
    low: float
    high: float
    log: bool = False
    share: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high one."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        return min(1.0, (at - low) / (high - low))

    def ticks(self) -> list[float]:
        """Return four to seven round values."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            step = max(1, (last - first) // 5)
            found = [10.0**power for power in range(first, last + 1, step)]
            return [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
        return round_values(self.low, self.high, 5)

    def text(self, value: float) -> str:
        """Return a value as written at a tick."""
        return percent(value).replace(".0%", "%") if self.share else f"{value:,.6g}"


@dataclasses.dataclass(frozen=True)
class Mark:
    """A value of x worth a line."""

    x: float
    text: str
    strong: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """What to draw, and where: the plot lies between `left`, `right`, `top` and `bottom` of its picture."""

    key: str
    title: str
    note: str
    x: Axis
    y: Axis
    points: Sequence[Point]
    bars: float = 0.0
    """Width of a bar in x; 0 draws a line."""
    marks: Sequence[Mark] = ()
    stretch: tuple[float, float] | None = None
    """Shaded, from one x to another."""
    width: int = 480
    height: int = 300
    left: int = 58
    right: int = 456
    top: int = 38
    bottom: int = 256

    def across(self, x: float) -> float:
        """Return where a value of x lies in the picture."""
        return self.left + (self.right - self.left) * self.x.place(x)

    def up(self, y: float) -> float:
        """Return where a value of y lies in the picture."""
        return self.bottom - (self.bottom - self.top) * self.y.place(y)

    def described(self) -> str:
        """Return the plot in a sentence, for those who do not see it."""
        write = percent if self.y.share else number
        first, last = self.points[0], self.points[-1]
        marks = "; ".join(f"{mark.text} at {number(mark.x)}" for mark in self.marks)
        return (
            f"{self.title}: {self.y.title} goes from {write(first[1])} at {number(first[0])} to {write(last[1])} at "
            f"{number(last[0])} of {self.x.title}." + (f" Marked: {marks}." if marks else "")
        )


def histogram(values: Sequence[float], bins: int = 32) -> tuple[list[Point], float]:
    """Return (left edge, share) of each bin, and the bins' width."""
    top = max(values) or 1.0
    width = top / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(value / width))] += 1
    return [(i * width, count / len(values)) for i, count in enumerate(counts)], width
