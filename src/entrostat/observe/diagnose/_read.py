"""Finds out what kind of log a path is, and reads it into curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from entrostat.observe import records
from entrostat.observe.analysis.curves import Curves, of_records
from entrostat.observe.diagnose._lines import console, json_lines, separator, table
from entrostat.observe.diagnose._tensorboard import event_files, tensorboard
from entrostat.observe.diagnose._trl import newest_state, trainer_state
from entrostat.observe.files import read_text
from entrostat.observe.report._load import load

KNOWN = (
    "an entrostat directory, a trainer_state.json, a TensorBoard directory, a verl log (.jsonl or console), or a .csv"
)


def read(path: Path) -> list[Curves]:
    """Return the curves of every run at a path.

    Args:
        path: directory or file; what it is, is seen from its content.

    Raises:
        ValueError: it is missing, empty, damaged, or no log of a known kind.
        ImportError: it is a TensorBoard directory and tensorboard is not installed.
    """
    if path.is_dir():
        return _directory(path)
    if not path.is_file():
        raise ValueError(f"{path} is not there: name {KNOWN}.")
    return [_file(path)]


def _directory(path: Path) -> list[Curves]:
    if (path / "run.json").is_file() or any(path.glob("runs/*/run.json")):
        runs = [run for run in load([path]) if run.steps]
        if not runs:
            raise ValueError(f"{path} holds no step yet: there is nothing to diagnose.")
        return [run.curves for run in runs]
    if (path / "records.jsonl").is_file():
        return [_file(path / "records.jsonl")]
    if (state := newest_state(path)) is not None:
        return [trainer_state(state, _text(state))]
    if files := event_files(path):
        return tensorboard(path, files)
    raise ValueError(f"{path} holds no log that is known here: name {KNOWN}.")


def _text(path: Path) -> str:
    try:
        text = read_text(path)
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}: name {KNOWN}.") from None
    if not text.strip():
        raise ValueError(f"{path} is empty.")
    return text


def _file(path: Path) -> Curves:
    text = _text(path)
    first = text.lstrip().partition("\n")[0]
    line = _object(first)
    if line is not None and {"schema", "kind"} & line.keys():
        return _own(path)
    if line is not None and "step" in line:
        return json_lines(path, text)
    if text.lstrip().startswith("{"):
        return trainer_state(path, text)
    if "step:" in text and " - " in text:
        return console(path, text)
    if separator(first) or path.suffix.lower() == ".csv":
        return table(path, text)
    raise ValueError(f"{path} is no log that is known here: name {KNOWN}.")


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _own(path: Path) -> Curves:
    found = of_records(records.read(path), name=str(path))
    if not found.series("entropy"):
        raise ValueError(f"{path} holds no step with an entropy: there is nothing to diagnose.")
    return found
