"""Reads logs of one line per step: verl's file and console loggers, JSON lines, and tables."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.diagnose._names import KNOWN, Row, curves, numbers, plain

STEPS = ("step", "global_step", "_step", "steps", "training/global_step", "trainer/global_step")
"""Names of the column that counts steps."""
SEPARATORS = (",", ";", "\t")
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)"
# `(TaskRunner pid=7) step:3 - actor/entropy:0.31 - ...`; newer numpy prints np.float64(0.31).
_STEP = re.compile(r"(?:^|[\s)])step:(\d+) - ", re.IGNORECASE)
_PAIR = re.compile(rf"([\w@./+-]+):(?:np\.\w+\()?({_NUMBER})\)?(?=\s+-\s|\s*$)", re.IGNORECASE)


def json_lines(path: Path, text: str) -> Curves:
    """Return the curves of JSON lines with a step: verl's `{"step": 3, "data": {...}}`, or all in one object.

    Raises:
        ValueError: a line is damaged. A last line cut short by a kill is dropped.
    """
    return curves(_json_rows(path, text), name=str(path), source="JSON lines")


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields: Any = json.loads(line)
        except (ValueError, RecursionError):
            if number == len(lines):
                return  # the line a kill cut short
            raise ValueError(f"{path}, line {number}: not a JSON line. Remove it and diagnose again.") from None
        step = fields.get("step") if isinstance(fields, dict) else None
        if not isinstance(step, int) or isinstance(step, bool):
            raise ValueError(f"{path}, line {number}: no step is given, so this is no log of training steps.")
        values: Any = fields.get("data", fields)
        if isinstance(values, dict):
            yield step, numbers(values)


def console(path: Path, text: str) -> Curves:
    """Return the curves of a console log: lines with `step:3 - NAME:VALUE - ...` among any others.

    Raises:
        ValueError: there is no such line.
    """
    rows = [row for line in text.splitlines() if (row := _console_row(line)) is not None]
    if not rows:
        raise ValueError(f"{path} has no line like `step:3 - actor/entropy:0.31 - ...`, so it is no log of verl.")
    return curves(rows, name=str(path), source="verl console log")


def _console_row(line: str) -> Row | None:
    start = _STEP.search(line)
    if start is None:
        return None
    return int(start[1]), {key: float(value) for key, value in _PAIR.findall(line[start.end() :])}


def separator(head: str) -> str:
    """Return what separates the columns of a table, by its first line; nothing where it is no table.

    Example:
        >>> separator("step,entropy"), separator("step;entropy"), separator("a text")
        (',', ';', '')
    """
    found = max(SEPARATORS, key=head.count)
    return found if found in head else ""


def table(path: Path, text: str) -> Curves:
    """Return the curves of a table with a head line, one column of steps and one per quantity.

    Columns may be separated by commas, semicolons or tabs; where it is no comma, a number may have a decimal comma.

    Raises:
        ValueError: there is no column of steps, two columns are the same quantity, or a line does not fit the head.
    """
    between = separator(text.lstrip().partition("\n")[0]) or ","
    try:
        lines = list(csv.reader(text.splitlines(), delimiter=between, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}.") from None
    head = [name.strip() for name in lines[0]]
    at = next((i for name in STEPS for i, column in enumerate(head) if column.lower() == name), None)
    if at is None:
        raise ValueError(f"{path} has no column of steps: name one `step`. Its columns are {', '.join(head[:8])}.")
    _check_columns(path, head)
    if not text.endswith("\n") and len(lines[-1]) < len(head):
        lines.pop()  # the line a kill cut short
    if between != ",":
        lines[1:] = [[cell.replace(",", ".") for cell in line] for line in lines[1:]]
    rows = [_table_row(path, number, head, at, line) for number, line in enumerate(lines[1:], start=2) if any(line)]
    return curves(rows, name=str(path), source="table")


def _check_columns(path: Path, head: list[str]) -> None:
    # A tracker's table holds several runs side by side; taken together they would be one curve, and nobody's.
    first: dict[str, str] = {}
    for column in head:
        name = plain(column)
        if name in KNOWN and name in first:
            raise ValueError(f"{path} has two columns of one quantity, {first[name]!r} and {column!r}: keep one run.")
        first.setdefault(name, column)


def _table_row(path: Path, number: int, head: list[str], at: int, line: list[str]) -> Row:
    if len(line) != len(head):
        raise ValueError(f"{path}, line {number}: {len(line)} fields under {len(head)} columns.")
    step = _float(line[at])
    if step is None or not step.is_integer():
        raise ValueError(f"{path}, line {number}: the step is {line[at]!r}, which is no whole number.")
    cells = {name: value for i, name in enumerate(head) if i != at and (value := _float(line[i])) is not None}
    return int(step), cells


def _float(text: str) -> float | None:
    # Text columns, such as a run's name, are not curves.
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
