"""How some runs stand, one line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from entrostat.observe.records import EvaluationRecord, StepRecord
from entrostat.observe.screen._gauge import gauge, place

ECHO = 2
"""Columns to leave free on a terminal: it echoes `^C` after what is drawn, which must not wrap into the next line."""
_WIDE, _BAR = 100 - ECHO, 20  # from this many columns on there is room for a bar
_STYLES = {"below": "red", "in": "green", "above": "yellow"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One run, as far as it has come."""

    name: str
    planned: int | None
    """Steps it is meant to take; `None` where nobody says."""
    status: str
    last: StepRecord | None = None
    evaluated: EvaluationRecord | None = None
    """Its last evaluation."""
    style: str = ""
    """Rich's name of the colour its name and its curves have."""


def run_table(rows: Sequence[Row], *, width: int, plain: bool = False, title: str = "") -> Table:
    """Return a table of runs that fits into `width` columns, from 78 on.

    Args:
        rows: the runs.
        width: columns there are.
        plain: ASCII alone.
        title: the line above.

    Example:
        >>> run_table([Row(name="aent seed 0", planned=360, status="running")], width=80).row_count
        1
    """
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="",
        box=None,
        pad_edge=False,
        width=width,
    )
    table.add_column("run", no_wrap=True, overflow="ellipsis", ratio=1)
    if width >= _WIDE:
        table.add_column("", no_wrap=True)
    for heading in ("step", "entropy", "band", "coef", "reward", _pass_heading(rows)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        bar = [_bar(row, plain)] if width >= _WIDE else []
        table.add_row(Text(row.name, style=row.style), *bar, *_cells(row, plain))
    return table


def _pass_heading(rows: Sequence[Row]) -> str:
    ks = {_largest_k(row.evaluated) for row in rows if row.evaluated and row.evaluated.pass_at}
    return f"pass@{ks.pop()}" if len(ks) == 1 else "pass@k"


def _largest_k(evaluated: EvaluationRecord) -> str:
    return max(evaluated.pass_at, key=lambda k: (int(k) if k.isdecimal() else -1, k))


def _bar(row: Row, plain: bool) -> str:
    if not row.planned:
        return ""
    filled = min(_BAR, round(_BAR * (row.last.step if row.last else 0) / row.planned))
    full, rest = ("=", "-") if plain else ("━", "╌")
    return full * filled + rest * (_BAR - filled)


def _cells(row: Row, plain: bool) -> list[Text]:
    last, done = row.last, row.last.step if row.last else 0
    step = f"{done}/{row.planned}" if row.planned else str(done)
    passed = row.evaluated.pass_at[_largest_k(row.evaluated)] if row.evaluated and row.evaluated.pass_at else None
    if last is None:
        texts = [step, "", "", "", row.status]
    else:
        texts = [step, f"{last.clamped_entropy:.3f}", "", f"{last.coef:.4f}", _two(last.reward)]
    cells = [Text(text) for text in (*texts, _two(passed))]
    if last is not None:
        cells[2] = _gauge(last, plain)
    return cells


def _two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _gauge(last: StepRecord, plain: bool) -> Text:
    if last.band_low is None or last.band_high is None:
        return Text("")
    value, low, high = last.clamped_entropy, last.band_low, last.band_high
    return Text(gauge(value, low, high, plain=plain), style=_STYLES[place(value, low, high)])
