"""Curves with an axis, as lines of styled text for Rich."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from rich.text import Text

from entrostat.observe.screen._braille import Canvas

Point = tuple[int, float]
_GUTTER = 8  # cells for the numbers on the left


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    points: Sequence[Point]
    """(step, value), in the order of the steps."""
    style: str = ""
    """Rich's name of a colour."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Area:
    """A band behind the curves: between two curves that have the same steps."""

    low: Sequence[Point]
    high: Sequence[Point]


def plot(lines: Sequence[Line], *, width: int, height: int, last: int, area: Area | None = None) -> list[Text]:
    """Draw curves over the steps 0 to `last`, and from zero to the greatest value unless one is negative.

    Args:
        lines: the curves; where two meet in one cell, the later one gives the colour.
        width: cells across, numbers included.
        height: cells down, without the line of steps below.
        last: the step at the right edge.
        area: a band, drawn as a row of light dashes along each edge.

    Returns:
        `height` lines of text and one with the steps.

    Example:
        >>> rows = plot([Line(points=[(0, 0.0), (10, 1.0)])], width=14, height=2, last=10)
        >>> [row.plain for row in rows]
        ['      1 ┤  ⢀⠤⠊', '      0 ┤⡠⠒⠁  ', '         0  10']
    """
    span = _span(lines, area)
    frame = _Frame(max(1, width - _GUTTER - 1), height, max(1, last), *span)
    cells = [[" "] * frame.width for _ in range(height)]
    styles = [[""] * frame.width for _ in range(height)]
    if area is not None:
        for edge in (area.low, area.high):
            _put(frame.draw(edge, dashed=True), "dim", cells, styles)
    for line in lines:
        _put(frame.draw(line.points), line.style, cells, styles)
    return [*_with_axis(cells, styles, span), _steps(frame)]


@dataclasses.dataclass(frozen=True)
class _Frame:
    width: int
    height: int
    last: int
    bottom: float
    top: float

    def draw(self, points: Sequence[Point], *, dashed: bool = False) -> Canvas:
        canvas = Canvas(self.width, self.height)
        dots = [self._dot(canvas, step, value) for step, value in points if math.isfinite(value)]
        if dashed:
            for (x0, y0), (x1, _) in zip(dots, [*dots[1:], dots[-1]] if dots else [], strict=True):
                for x in range(x0, max(x1, x0 + 1)):
                    if x % 4 < 2:
                        canvas.dot(x, y0)
            return canvas
        for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
            canvas.line(x0, y0, x1, y1)
        return canvas

    def _dot(self, canvas: Canvas, step: int, value: float) -> tuple[int, int]:
        share = (value / 2 - self.bottom / 2) / (self.top / 2 - self.bottom / 2)  # halves: no overflow
        return round(step / self.last * (canvas.width - 1)), round(min(max(share, 0.0), 1.0) * (canvas.height - 1))


def _span(lines: Sequence[Line], area: Area | None) -> tuple[float, float]:
    edges = [] if area is None else [area.low, area.high]
    values = [value for points in (*(line.points for line in lines), *edges) for _, value in points]
    finite = [value for value in values if math.isfinite(value)]
    bottom, top = min([0.0, *finite]), max([0.0, *finite])
    return bottom, top if top > bottom else bottom + 1.0


def _put(canvas: Canvas, style: str, cells: list[list[str]], styles: list[list[str]]) -> None:
    """Lay one canvas over what is drawn already."""
    for row, text in enumerate(canvas.rows()):
        for column, cell in enumerate(text):
            if cell != " ":
                under = ord(cells[row][column]) - 0x2800 if cells[row][column] != " " else 0
                cells[row][column] = chr(ord(cell) | under)
                styles[row][column] = style


def _with_axis(cells: list[list[str]], styles: list[list[str]], span: tuple[float, float]) -> list[Text]:
    rows: list[Text] = []
    for number, (row, style) in enumerate(zip(cells, styles, strict=True)):
        label = f"{span[1]:.3g}" if number == 0 else f"{span[0]:.3g}" if number == len(cells) - 1 else ""
        text = Text(f"{label:>{_GUTTER - 1}} " + ("┤" if label else "│"), style="dim")
        for cell, colour in zip(row, style, strict=True):
            text.append(cell, colour)
        rows.append(text)
    return rows


def _steps(frame: _Frame) -> Text:
    last = str(frame.last)
    return Text(" " * (_GUTTER + 1) + "0" + last.rjust(frame.width - 1), style="dim")
