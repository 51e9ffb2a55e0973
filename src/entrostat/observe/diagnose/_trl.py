"""Reads what TRL's trainers leave in a checkpoint: `trainer_state.json` with its log history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.diagnose._names import Row, curves, numbers


def newest_state(path: Path) -> Path | None:
    """Return the trainer state of the furthest checkpoint in a directory, if there is one."""
    if (path / "trainer_state.json").is_file():
        return path / "trainer_state.json"
    found = [state for state in path.glob("checkpoint-*/trainer_state.json") if state.parent.name[11:].isdecimal()]
    return max(found, key=lambda state: int(state.parent.name[11:]), default=None)


def trainer_state(path: Path, text: str) -> Curves:
    """Return the curves of a `trainer_state.json`.

    Raises:
        ValueError: it is no JSON, or no trainer state.
    """
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no whole JSON text: the file is damaged, or no trainer state.") from None
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise ValueError(f"{path} is no trainer state: it has no list named log_history.")
    return curves(_rows(history), name=str(path), source="TRL trainer state")


def _rows(history: list[dict[str, Any]]) -> Iterator[Row]:
    for entry in history:
        step = entry.get("step")
        if isinstance(step, int) and not isinstance(step, bool):
            yield step, numbers(entry)
