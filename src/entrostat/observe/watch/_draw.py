"""The main curves of some runs, as large as the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.text import Text

from entrostat.observe.screen import ECHO, Area, Line, Row, plot, run_table
from entrostat.observe.watch._follow import Seen

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")
_TWO_COLUMNS = 100 - ECHO
_POINTS = 300
_LEAST, _MOST = 3, 14  # rows of a plot
Point = tuple[int, float]


def frame(runs: Sequence[Seen], *, width: int, height: int, plain: bool = False) -> RenderableType:
    """Return the runs' table and their curves: entropy in its band, reward, coefficient, pass@k.

    Args:
        runs: what was read.
        width: columns there are.
        height: lines there are; runs that do not fit are counted.
        plain: ASCII alone, which leaves the table.
    """
    colours = _colours(runs)
    panels = [panel for panel in _panels(runs) if any(points for _, points in panel[1])]
    columns = 2 if width >= _TWO_COLUMNS else 1
    stacked = -(-len(panels) // columns)
    room = height - 2 - stacked * (_LEAST + 2)
    shown = max(1, min(len(runs), room))
    rows = [_row(run, colours[run.label]) for run in runs[:shown]]
    parts: list[RenderableType] = [run_table(rows, width=width, plain=plain)]
    if shown < len(runs):
        parts.append(Text(f"and {len(runs) - shown} more runs", style="dim"))
    if panels and not plain:
        tall = min(_MOST, max(_LEAST, (height - len(rows) - 3) // stacked - 2))
        last = max(points[-1][0] for _, curves, _ in panels for _, points in curves if points)
        wide = (width - 2 * (columns - 1)) // columns
        drawn = [_panel(title, curves, colours, wide, tall, last, area) for title, curves, area in panels]
        parts.append(Columns(drawn, padding=(0, 2), expand=False) if columns == 2 else Group(*drawn))
    return Group(*parts)


def _colours(runs: Sequence[Seen]) -> dict[str, str]:
    labels = list(dict.fromkeys(run.label for run in runs))
    return {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(labels)}


def _row(run: Seen, colour: str) -> Row:
    return Row(
        name=run.name,
        planned=run.described.planned if run.described else None,
        status=run.status,
        last=run.steps[-1] if run.steps else None,
        evaluated=run.evaluations[-1] if run.evaluations else None,
        style=colour,
    )


Panel = tuple[str, list[tuple[str, list[Point]]], Area | None]


def _panels(runs: Sequence[Seen]) -> list[Panel]:
    split, k = _evaluated(runs)
    band = _band(runs)
    return [
        ("entropy in nats; dashes: its band" if band else "entropy in nats", _steps(runs, "clamped_entropy"), band),
        ("reward", _steps(runs, "reward"), None),
        ("coefficient", _steps(runs, "coef"), None),
        (f"pass@{k}, {split}", [(run.label, _passes(run, split, k)) for run in runs], None),
    ]


def _steps(runs: Sequence[Seen], name: str) -> list[tuple[str, list[Point]]]:
    def points(run: Seen) -> list[Point]:
        values = ((record.step, getattr(record, name)) for record in run.steps)
        return _thinned([(step, value) for step, value in values if value is not None and math.isfinite(value)])

    return [(run.label, points(run)) for run in runs]


def _thinned(points: list[Point]) -> list[Point]:
    """Return at most `_POINTS` points, each the mean of its neighbours: more than a terminal can show costs time."""
    stride = -(-len(points) // _POINTS) or 1
    chunks = [points[start : start + stride] for start in range(0, len(points), stride)]
    return [(chunk[-1][0], sum(value / len(chunk) for _, value in chunk)) for chunk in chunks]


def _band(runs: Sequence[Seen]) -> Area | None:
    """Return the band if all runs that have one have the same: two bands in one picture cannot be told apart."""
    bands = [
        [(r.step, r.band_low, r.band_high) for r in run.steps if r.band_low is not None and r.band_high is not None]
        for run in runs
    ]
    longest = max(bands, key=len, default=[])
    if not longest or any(band != longest[: len(band)] for band in bands):
        return None
    return Area(low=[(step, low) for step, low, _ in longest], high=[(step, high) for step, _, high in longest])


def _evaluated(runs: Sequence[Seen]) -> tuple[str, str]:
    """Return the split evaluated most often and the largest k of it."""
    items = [item for run in runs for item in run.evaluations if item.pass_at]
    if not items:
        return "validation", "1"
    splits = [item.split for item in items]
    split = max(sorted(set(splits)), key=splits.count)
    return split, max({k for item in items if item.split == split for k in item.pass_at}, key=lambda k: (len(k), k))


def _passes(run: Seen, split: str, k: str) -> list[Point]:
    return [(item.step, item.pass_at[k]) for item in run.evaluations if item.split == split and k in item.pass_at]


def _panel(
    title: str, curves: list[tuple[str, list[Point]]], colours: dict[str, str], width: int, height: int,
    last: int, area: Area | None,
) -> Group:  # fmt: skip
    lines = [Line(points=points, style=colours[label]) for label, points in curves]
    return Group(Text(title[:width], style="bold"), *plot(lines, width=width, height=height, last=last, area=area))
