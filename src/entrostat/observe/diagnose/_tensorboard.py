"""Reads a TensorBoard directory, with tensorboard's own reader."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.diagnose._names import Row, curves


def event_files(path: Path) -> list[Path]:
    """Return the event files below a directory."""
    return sorted(path.rglob("events.out.tfevents.*"))


def tensorboard(path: Path, files: list[Path]) -> list[Curves]:
    """Return the curves of every directory with event files: each is a run.

    Raises:
        ImportError: tensorboard is not installed.
        ValueError: the files hold no entropy.
    """
    folders = sorted({file.parent for file in files})
    read = [(folder, _rows(folder)) for folder in folders]
    filled = [(folder, rows) for folder, rows in read if rows]
    if not filled:
        raise ValueError(
            f"{path} has event files without a single scalar: the run has logged nothing yet, or they are damaged."
        )
    # One run may be spread over several folders (hyper-parameters, validation): those without entropy are not runs.
    runs = [(folder, rows) for folder, rows in filled if any("entropy" in key for _, row in rows for key in row)]
    return [curves(rows, name=str(folder), source="TensorBoard") for folder, rows in runs or filled[:1]]


def _rows(folder: Path) -> list[Row]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import (  # pyright: ignore[reportMissingImports]
            EventAccumulator,
        )
    except ImportError:
        raise ImportError(
            "reading a TensorBoard directory needs tensorboard: install it with `pip install tensorboard`."
        ) from None
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    events: Any = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    try:
        events.Reload()
    except Exception as error:
        raise ValueError(f"{folder}: tensorboard cannot read its event files: {error}") from None
    tags = events.Tags()
    rows: list[Row] = [
        (event.step, {tag: float(event.value)}) for tag in tags["scalars"] for event in events.Scalars(tag)
    ]
    return rows + _tensors(events, tags)


def _tensors(events: Any, tags: dict[str, Any]) -> list[Row]:
    # Writers of TensorFlow 2 store a scalar as a tensor of one number.
    from tensorboard.util import tensor_util  # pyright: ignore[reportMissingImports]

    rows: list[Row] = []
    for tag in tags.get("tensors", []):
        for event in events.Tensors(tag):
            array = tensor_util.make_ndarray(event.tensor_proto)
            if array.size == 1 and array.dtype.kind == "f":
                rows.append((event.step, {tag: float(array.item())}))
    return rows
