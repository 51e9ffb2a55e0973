"""Small pictures in text for a terminal: curves in braille, gauge, spark line, a table of runs. Colour only helps."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

from rich.table import Table
from rich.text import Text

from entrostat.observe.records import EvaluationRecord, StepRecord

ECHO = 2
"""Columns to leave free on a terminal: it echoes `^C` after what is drawn, which must not wrap into the next line."""
Point = tuple[int, float]
Place = Literal["below", "in", "above"]
_BRAILLE = 0x2800
# The bit of each dot of a cell, by row and column: Unicode counts the first three rows by columns, then the fourth.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_GUTTER = 8  # cells for the numbers to the left of a plot
_INNER, _OUTER = 3, 2  # cells of a gauge between its brackets, and on either side of them
_WIDE, _BAR = 100 - ECHO, 20  # a table that wide has room for bars of so many cells
_STYLES = {"below": "red", "in": "green", "above": "yellow"}


class Canvas:
    """Dots on a grid of `width` by `height` text cells, two by four to a cell; (0, 0) is the dot at the bottom left.

    Example:
        >>> canvas = Canvas(2, 1)
        >>> canvas.line(0, 0, 3, 3)
        >>> canvas.rows()
        ['⡠⠊']
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = 2 * width, 4 * height
        self._cells = [[0] * width for _ in range(height)]

    def dot(self, x: int, y: int) -> None:
        """Set one dot; outside the canvas nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            row, part = divmod(self.height - 1 - y, 4)
            self._cells[row][x // 2] |= _BITS[part][x % 2]

    def line(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """Set the dots between two points, both included."""
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            self.dot(x0 + round(step * (x1 - x0) / steps), y0 + round(step * (y1 - y0) / steps))

    def rows(self) -> list[str]:
        """Return the lines of text from the top; an empty cell is a blank."""
        return ["".join(chr(_BRAILLE + cell) if cell else " " for cell in row) for row in self._cells]


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
    edges = [] if area is None else [area.low, area.high]
    values = [value for points in (*(line.points for line in lines), *edges) for _, value in points]
    finite = [value for value in values if math.isfinite(value)]
    bottom, top = min([0.0, *finite]), max([0.0, *finite])
    frame = _Frame(max(1, width - _GUTTER - 1), height, max(1, last), bottom, top if top > bottom else bottom + 1.0)
    for edge in edges:
        frame.draw(edge, "dim", dashed=True)
    for line in lines:
        frame.draw(line.points, line.style)
    return frame.rows()


class _Frame:
    """The cells of a plot and their styles."""

    def __init__(self, width: int, height: int, last: int, bottom: float, top: float) -> None:
        self.width, self.height, self.last, self.bottom, self.top = width, height, last, bottom, top
        self.cells = [[" "] * width for _ in range(height)]
        self.styles = [[""] * width for _ in range(height)]

    def draw(self, points: Sequence[Point], style: str, *, dashed: bool = False) -> None:
        canvas = Canvas(self.width, self.height)
        dots = [self._dot(canvas, step, value) for step, value in points if math.isfinite(value)]
        if dashed:
            for (x0, y0), (x1, _) in zip(dots, [*dots[1:], *dots[-1:]], strict=True):
                for x in range(x0, max(x1, x0 + 1)):
                    if x % 4 < 2:
                        canvas.dot(x, y0)
        else:
            for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
                canvas.line(x0, y0, x1, y1)
        for row, text in enumerate(canvas.rows()):
            for column, cell in enumerate(text):
                if cell != " ":
                    # Dots that are drawn already stay: a braille pattern is its own bit mask.
                    under = self.cells[row][column]
                    self.cells[row][column] = cell if under == " " else chr(ord(cell) | ord(under))
                    self.styles[row][column] = style

    def _dot(self, canvas: Canvas, step: int, value: float) -> tuple[int, int]:
        share = (value / 2 - self.bottom / 2) / (self.top / 2 - self.bottom / 2)  # halves: no overflow
        return round(step / self.last * (canvas.width - 1)), round(min(max(share, 0.0), 1.0) * (canvas.height - 1))

    def rows(self) -> list[Text]:
        """Return the lines of text with both axes."""
        labels = {self.height - 1: f"{self.bottom:.3g}", 0: f"{self.top:.3g}"}
        rows: list[Text] = []
        for number, (row, styles) in enumerate(zip(self.cells, self.styles, strict=True)):
            label = labels.get(number, "")
            text = Text(f"{label:>{_GUTTER - 1}} " + ("┤" if label else "│"), style="dim")
            for cell, style in zip(row, styles, strict=True):
                text.append(cell, style)
            rows.append(text)
        steps = " " * (_GUTTER + 1) + "0" + str(self.last).rjust(self.width - 1)
        return [*rows, Text(steps, style="dim")]


def place(value: float, low: float, high: float) -> Place:
    """Return where a value lies; the edges belong to the band.

    Example:
        >>> place(0.2, 0.2, 0.4), place(0.41, 0.2, 0.4)
        ('in', 'above')
    """
    return "below" if value < low else "above" if value > high else "in"


def gauge(value: float, low: float, high: float, *, plain: bool = False) -> str:
    """Return the band from `low` to `high` in brackets with a mark where the value is, in nine cells.

    Outside, the nearer cell stands for less than half a band's width away, the outer one for more. A value that is not
    finite has no mark; `plain` is ASCII alone.

    Example:
        >>> gauge(0.3, 0.2, 0.4), gauge(0.15, 0.2, 0.4), gauge(0.9, 0.2, 0.4)
        ('╌╌[╌●╌]╌╌', '╌●[╌╌╌]╌╌', '╌╌[╌╌╌]╌●')
        >>> gauge(0.4, 0.2, 0.4, plain=True)
        '--[--o]--'
    """
    dash, mark = ("-", "o") if plain else ("╌", "●")
    cells = [*dash * _OUTER, "[", *dash * _INNER, "]", *dash * _OUTER]
    if math.isfinite(value):
        width = high - low
        match place(value, low, high):
            case "below":
                at = 1 if low - value < width / 2 else 0
            case "above":
                at = _OUTER + _INNER + 2 + (0 if value - high < width / 2 else 1)
            case "in":
                share = (value - low) / width if width > 0 else 0.5
                at = _OUTER + 1 + min(_INNER - 1, int(share * _INNER))
        cells[at] = mark
    return "".join(cells)


def spark(values: Sequence[float], width: int, *, plain: bool = False) -> str:
    """Return a series as bars between zero and its greatest value: a fall to a tenth looks like one.

    A series longer than `width` cells is averaged into them, a shorter one takes one cell per value. Values that are
    not finite are left out; `plain` is ASCII alone.

    Example:
        >>> spark([0.8, 0.6, 0.4, 0.2, 0.1], 5)
        '█▆▄▂▁'
        >>> spark([1.0, 3.0, 8.0, 8.0], 2)
        '▂█'
        >>> spark([], 4)
        ''
    """
    finite = [value for value in values if math.isfinite(value)]
    scale = max(map(abs, finite), default=0.0) or 1.0  # so that no sum is too large for a float
    means = [value / scale for value in finite]
    if len(means) > width:
        edges = [number * len(means) // width for number in range(width + 1)]
        means = [fmean(means[start:end]) for start, end in itertools.pairwise(edges)]
    top = max(means, default=0.0)
    blocks = "_.-=+*#@" if plain else "▁▂▃▄▅▆▇█"
    levels = [math.ceil(value / top * len(blocks)) - 1 if top > 0 else 0 for value in means]
    return "".join(blocks[max(0, level)] for level in levels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One run, as far as it has come."""

    name: str
    planned: int | None
    """Steps it is meant to take; `None` where that is unknown."""
    status: str
    last: StepRecord | None = None
    evaluated: EvaluationRecord | None = None
    """Its last evaluation."""
    style: str = ""
    """Rich's name of the colour its name and its curves have."""

    @property
    def largest_k(self) -> str | None:
        """The largest k of its last evaluation."""
        pass_at = self.evaluated.pass_at if self.evaluated else {}
        return max(pass_at, key=lambda k: (int(k) if k.isdecimal() else -1, k), default=None)


def run_table(rows: Sequence[Row], *, width: int, plain: bool = False, title: str = "") -> Table:
    """Return a table of runs, a line each, that fits into `width` columns, from 78 on; `plain` is ASCII alone.

    Example:
        >>> run_table([Row(name="aent seed 0", planned=360, status="running")], width=80).row_count
        1
    """
    heading = Text(title) if title else None
    table = Table(title=heading, title_justify="left", title_style="", box=None, pad_edge=False, width=width)
    table.add_column("run", no_wrap=True, overflow="ellipsis", ratio=1)
    if width >= _WIDE:
        table.add_column("", no_wrap=True)
    ks = {row.largest_k for row in rows if row.largest_k}
    for name in ("step", "entropy", "band", "coef", "reward", f"pass@{ks.pop()}" if len(ks) == 1 else "pass@k"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        bar = [_bar(row, plain)] if width >= _WIDE else []
        table.add_row(Text(row.name, style=row.style), *bar, *_cells(row, plain))
    return table


def _bar(row: Row, plain: bool) -> str:
    if not row.planned:
        return ""
    filled = min(_BAR, round(_BAR * (row.last.step if row.last else 0) / row.planned))
    full, rest = ("=", "-") if plain else ("━", "╌")
    return full * filled + rest * (_BAR - filled)


def _cells(row: Row, plain: bool) -> list[Text]:
    last, done = row.last, row.last.step if row.last else 0
    step = Text(f"{done}/{row.planned}" if row.planned else str(done))
    passed = row.evaluated.pass_at[row.largest_k] if row.evaluated and row.largest_k else None
    passes = Text("" if passed is None else f"{passed:.2f}")
    if last is None:
        return [step, Text(), Text(), Text(), Text(row.status), passes]
    band = Text()
    if last.band_low is not None and last.band_high is not None:
        value, low, high = last.clamped_entropy, last.band_low, last.band_high
        band = Text(gauge(value, low, high, plain=plain), style=_STYLES[place(value, low, high)])
    reward = Text("" if last.reward is None else f"{last.reward:.2f}")
    return [step, Text(f"{last.clamped_entropy:.3f}"), band, Text(f"{last.coef:.4f}"), reward, passes]
