"""A plot as SVG: one line or bars, marked places and a marked stretch. Colours come from the page's style sheet."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Sequence

from entrostat.observe.report._text import number, percent

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 38, 44
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
        rough = (self.high - self.low) / 5
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

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
    """What to draw."""

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

    def svg(self) -> str:
        """Return the plot."""
        drawn = [self._stretch(), *self._grid(), *(self._bars() if self.bars else self._line()), *self._marks()]
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{self.key}-said">'
            f'<title id="{self.key}-said">{html.escape(self.said())}</title>{"".join(drawn)}</svg>'
        )

    def said(self) -> str:
        """Return the plot in a sentence, for those who do not see it."""
        write = percent if self.y.share else number
        first, last = self.points[0], self.points[-1]
        marks = "; ".join(f"{mark.text} at {number(mark.x)}" for mark in self.marks)
        return (
            f"{self.title}: {self.y.title} goes from {write(first[1])} at {number(first[0])} to {write(last[1])} at "
            f"{number(last[0])} of {self.x.title}." + (f" Marked: {marks}." if marks else "")
        )

    def _at(self, x: float, y: float) -> tuple[float, float]:
        across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        return LEFT + across * self.x.place(x), HEIGHT - BOTTOM - up * self.y.place(y)

    def _stretch(self) -> str:
        if self.stretch is None:
            return ""
        (low, _), (high, _) = (self._at(x, self.y.low) for x in self.stretch)
        box = f'x="{low:.1f}" y="{TOP}" width="{max(high - low, 1):.1f}" height="{HEIGHT - TOP - BOTTOM}"'
        return f'<rect class="stretch" {box}/>'

    def _grid(self) -> list[str]:
        made: list[str] = []
        for value in self.y.ticks():
            _, y = self._at(self.x.low, value)
            made.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            made.append(_text(LEFT - 7, y + 4, self.y.text(value), "end"))
        for value in self.x.ticks():
            x, _ = self._at(value, self.y.low)
            made.append(_text(x, HEIGHT - BOTTOM + 17, self.x.text(value), "middle"))
        made.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, self.x.title, "middle", "title"))
        return made

    def _bars(self) -> list[str]:
        made: list[str] = []
        for x, y in self.points:
            (left, top), (right, bottom) = self._at(x, y), self._at(x + self.bars, self.y.low)
            box = f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 1, 1):.1f}" height="{bottom - top:.1f}"'
            made.append(f'<rect class="bar" {box}/>')
        return made

    def _line(self) -> list[str]:
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self._at(*point) for point in self.points))
        return [f'<polyline class="line" points="{places}"/>']

    def _marks(self) -> list[str]:
        made: list[str] = []
        for row, mark in enumerate(self.marks):
            x, _ = self._at(mark.x, self.y.low)
            style = "mark strong" if mark.strong else "mark"
            made.append(f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            # A label leans to the side that has room; two of them take two lines.
            side, shift = ("end", -5) if x > WIDTH * 0.6 else ("start", 5)
            made.append(_text(x + shift, TOP - 23 + 16 * (row % 2), mark.text, side, style))
        return made


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def histogram(values: Sequence[float], bins: int = 32) -> tuple[list[Point], float]:
    """Return (left edge, share) of each bin, and the bins' width."""
    top = max(values) or 1.0
    width = top / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(value / width))] += 1
    return [(i * width, count / len(values)) for i, count in enumerate(counts)], width
