"""Reads the log of a run into curves: finds out which program wrote it and what that program calls the quantities."""

from __future__ import annotations

import csv
import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from entrostat.observe import records
from entrostat.observe.analysis.curves import Curves, of_records
from entrostat.observe.files import read_text
from entrostat.observe.report import load_runs

READABLE = (
    "an entrostat directory, a trainer_state.json, a TensorBoard directory, a verl log (.jsonl or console), or a .csv"
)
Row = tuple[int, Mapping[str, float]]

# Our name <- theirs, the most certain first. All are compared in lower case and without a leading `train/`.
NAMES: Mapping[str, tuple[str, ...]] = {
    "entropy": (
        "entropy_control/entropy", "entropy", "actor/entropy", "actor/entropy_loss", "policy_entropy", "entropy_loss",
        "policy/entropy_avg", "critic/entropy/mean", "entropy/all/mean", "objective/entropy", "approx_entropy",
    ),
    "clamped_entropy": (
        "entropy_control/clamped_entropy", "clamped_entropy", "actor/aent/clamped_entropy", "aent/entropy_clamped",
    ),
    "kept_mass": ("entropy_control/kept_mass", "kept_mass", "aent/clamp_mass"),
    "coef": (
        "entropy_control/coef", "coef", "entropy_coef", "entropy_coeff", "actor/entropy_coeff", "actor/entropy_coef",
        "aent/coef",
    ),
    "bonus": ("entropy_control/bonus", "bonus", "aent/bonus"),
    "useless_mass": ("entropy_control/watched_mass", "useless_mass"),
    "reward": ("reward", "critic/rewards/mean", "critic/score/mean", "rewards/mean", "reward/mean", "mean_reward"),
    "accuracy": (
        "accuracy", "pass@1", "eval/validation/pass_at_1", "eval/test/pass_at_1", "eval/accuracy", "eval_accuracy",
        "eval_reward", "eval/reward",
    ),
    "length": ("completions/mean_length", "response_length/mean", "length"),
    "clip_low": ("clip_ratio/low_mean", "clip_low"),
    "clip_high": ("clip_ratio/high_mean", "clip_high"),
    "silent_groups": ("frac_reward_zero_std", "silent_groups"),
    "grad_norm": ("grad_norm", "actor/grad_norm"),
}  # fmt: skip
_KNOWN = frozenset(name for names in NAMES.values() for name in names)
_STEPS = ("step", "global_step", "_step", "steps", "training/global_step", "trainer/global_step")
# verl names a validation score by data set, metric and k.
_VALIDATION = re.compile(r"val-core/.+/mean@\d+|val/test_score/.+")
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf)"
# `(TaskRunner pid=7) step:3 - actor/entropy:0.31 - ...`; newer numpy prints np.float64(0.31).
_CONSOLE_STEP = re.compile(r"(?:^|[\s)])step:(\d+) - ", re.IGNORECASE)
_CONSOLE_PAIR = re.compile(rf"([\w@./+-]+):(?:np\.\w+\()?({_NUMBER})\)?(?=\s+-\s|\s*$)", re.IGNORECASE)


def read(path: Path) -> list[Curves]:
    """Return the curves of every run at a path.

    Args:
        path: directory or file; its kind is recognised from its content.

    Raises:
        ValueError: it is missing, empty, damaged, or no log of a known kind.
        ImportError: it is a TensorBoard directory and tensorboard is not installed.
    """
    if path.is_dir():
        return _read_directory(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist: give {READABLE}.")
    return [_read_file(path)]


def _read_directory(path: Path) -> list[Curves]:
    if (path / "run.json").is_file() or any(path.glob("runs/*/run.json")):
        runs = [run for run in load_runs(path) if run.steps]
        if not runs:
            raise ValueError(f"{path} holds no step yet: there is nothing to diagnose.")
        return [run.curves for run in runs]
    checkpoints = [
        state for state in path.glob("checkpoint-*/trainer_state.json") if state.parent.name[11:].isdecimal()
    ]
    furthest = max(checkpoints, key=lambda state: int(state.parent.name[11:]), default=path / "trainer_state.json")
    for file in (path / "records.jsonl", path / "trainer_state.json", furthest):
        if file.is_file():
            return [_read_file(file)]
    if events := sorted(path.rglob("events.out.tfevents.*")):
        return _tensorboard(path, events)
    raise ValueError(f"{path} holds no log that entrostat can read: give {READABLE}.")


def _read_file(path: Path) -> Curves:
    try:
        text = read_text(path)
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}: give {READABLE}.") from None
    if not text.strip():
        raise ValueError(f"{path} is empty.")
    head = text.lstrip().partition("\n")[0]
    fields = _json_object(head) or {}
    if {"schema", "kind"} & fields.keys():
        curves = of_records(records.read(path), name=str(path))
        if not curves.series("entropy"):
            raise ValueError(f"{path} holds no step with an entropy: there is nothing to diagnose.")
        return curves
    if "step" in fields:
        return _curves(_json_lines(path, text), name=str(path), source="JSON lines")
    if head.startswith("{"):
        return _curves(_trainer_state(path, text), name=str(path), source="TRL trainer state")
    if "step:" in text and " - " in text:
        return _curves(_console(path, text), name=str(path), source="verl console log")
    if _separator(head) or path.suffix.lower() == ".csv":
        return _curves(_table(path, text), name=str(path), source="table")
    raise ValueError(f"{path} is no log that entrostat can read: give {READABLE}.")


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain(name: str) -> str:
    # A tracker's table names its columns `RUN - QUANTITY`.
    return name.strip().rpartition(" - ")[2].lower().removeprefix("train/").removeprefix("train_")


def _curves(rows: Iterable[Row], *, name: str, source: str) -> Curves:
    """Return rows of (step, value by name) as curves. Of a step logged twice, as after a resume, the last counts."""
    found: dict[str, dict[int, float]] = {}
    for step, values in rows:
        if abs(step) > 2**53:
            raise ValueError(f"{name} counts steps beyond 2^53, which no training reaches.")
        for key, value in values.items():
            found.setdefault(_plain(key), {})[step] = value
    chosen = {ours: next((key for key in theirs if key in found), None) for ours, theirs in NAMES.items()}
    chosen["accuracy"] = chosen["accuracy"] or min(filter(_VALIDATION.fullmatch, found), default=None)
    values = {ours: sorted(found[theirs].items()) for ours, theirs in chosen.items() if theirs is not None}
    _check_entropy([value for _, value in values.get("entropy", [])], found, name)
    return Curves(name=name, source=source, values=values)


def _check_entropy(entropy: list[float], found: Mapping[str, object], name: str) -> None:
    finite = [value for value in entropy if math.isfinite(value)]
    if entropy and not finite:
        raise ValueError(f"{name} has an entropy that is nowhere a finite number.")
    if not entropy:
        near = sorted(key for key in found if "entropy" in key)[:5]
        others = ", ".join(sorted(found)[:8]) or "no numbers"
        hint = f"the nearest are {', '.join(near)}" if near else f"it has {others}"
        raise ValueError(f"{name} has no entropy to diagnose, under names such as actor/entropy; {hint}.")
    if sum(finite) < 0:
        raise ValueError(f"{name} has a negative entropy: it must be in nats per token, and not a loss.")


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    # JSON may hold integers that are too long for a float.
    found = {str(key): value for key, value in entry.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in found.items() if not abs(value) > sys.float_info.max}


def _step(entry: Mapping[str, Any]) -> int | None:
    step = entry.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def _trainer_state(path: Path, text: str) -> Iterator[Row]:
    state = _json_object(text)
    if state is None:
        raise ValueError(f"{path} is no complete JSON object: the file is damaged, or no trainer state.")
    history = state.get("log_history")
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise ValueError(f"{path} is no trainer state: it has no list named log_history.")
    for entry in history:
        if (step := _step(entry)) is not None:
            yield step, _numbers(entry)


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    """Yield the rows of JSON lines with a step: verl's `{"step": 3, "data": {...}}`, or all in one object."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = _json_object(line)
        if fields is None:
            if number == len(lines):
                return  # a kill cut this line short
            raise ValueError(f"{path}, line {number}: not a JSON object. Remove it and diagnose again.")
        step = _step(fields)
        if step is None:
            raise ValueError(f"{path}, line {number}: no step is given, so this is no log of training steps.")
        values: Any = fields.get("data", fields)
        if isinstance(values, dict):
            yield step, _numbers(values)


def _console(path: Path, text: str) -> list[Row]:
    rows: list[Row] = []
    for line in text.splitlines():
        if (start := _CONSOLE_STEP.search(line)) is not None:
            pairs = _CONSOLE_PAIR.findall(line[start.end() :])
            rows.append((int(start[1]), {key: float(value) for key, value in pairs}))
    if not rows:
        raise ValueError(f"{path} has no line like `step:3 - actor/entropy:0.31 - ...`, so it is no log of verl.")
    return rows


def _separator(head: str) -> str:
    """Return the character that separates the columns under a first line; nothing where it is no table."""
    found = max((",", ";", "\t"), key=head.count)
    return found if found in head else ""


def _table(path: Path, text: str) -> list[Row]:
    # Columns are separated by commas, semicolons or tabs; with the latter two, a number may have a decimal comma.
    between = _separator(text.lstrip().partition("\n")[0]) or ","
    try:
        lines = list(csv.reader(text.splitlines(), delimiter=between, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}.") from None
    head = [name.strip() for name in lines[0]]
    at = next((i for name in _STEPS for i, column in enumerate(head) if column.lower() == name), None)
    if at is None:
        raise ValueError(f"{path} has no column of steps: name one `step`. Its columns are {', '.join(head[:8])}.")
    # A tracker's table holds several runs side by side; taken together they would be one curve that no run has.
    first: dict[str, str] = {}
    for column in head:
        name = _plain(column)
        if name in _KNOWN and name in first:
            raise ValueError(f"{path} has two columns of one quantity, {first[name]!r} and {column!r}: keep one run.")
        first[name] = column
    if not text.endswith("\n") and len(lines[-1]) < len(head):
        lines.pop()  # a kill cut this line short
    rows: list[Row] = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(head):
            raise ValueError(f"{path}, line {number}: {len(cells)} fields under {len(head)} columns.")
        values = [_float(cell if between == "," else cell.replace(",", ".")) for cell in cells]
        step = values[at]
        if step is None or not step.is_integer():
            raise ValueError(f"{path}, line {number}: the step is {cells[at]!r}, which is no whole number.")
        named = {name: value for i, (name, value) in enumerate(zip(head, values, strict=True)) if i != at}
        rows.append((int(step), {name: value for name, value in named.items() if value is not None}))
    return rows


def _float(text: str) -> float | None:
    # Text columns, such as a run's name, are not curves.
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _tensorboard(path: Path, files: list[Path]) -> list[Curves]:
    """Return the curves of every directory with event files: each is a run."""
    found = [(folder, _events(folder)) for folder in sorted({file.parent for file in files})]
    filled = [(folder, rows) for folder, rows in found if rows]
    if not filled:
        raise ValueError(
            f"{path} has event files without a single scalar: the run has logged nothing yet, or they are damaged."
        )
    # One run may be spread over several folders (hyper-parameters, validation): those without entropy are not runs.
    runs = [(folder, rows) for folder, rows in filled if any("entropy" in key for _, row in rows for key in row)]
    return [_curves(rows, name=str(folder), source="TensorBoard") for folder, rows in runs or filled[:1]]


def _events(folder: Path) -> list[Row]:
    try:
        from tensorboard.backend.event_processing.event_accumulator import (  # pyright: ignore[reportMissingImports]
            EventAccumulator,
        )
        from tensorboard.util import tensor_util  # pyright: ignore[reportMissingImports]
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
    rows: list[Row] = [(event.step, {tag: event.value}) for tag in tags["scalars"] for event in events.Scalars(tag)]
    # Writers of TensorFlow 2 store a scalar as a tensor of one number.
    for tag in tags.get("tensors", []):
        for event in events.Tensors(tag):
            array = tensor_util.make_ndarray(event.tensor_proto)
            if array.size == 1 and array.dtype.kind == "f":
                rows.append((event.step, {tag: float(array.item())}))
    return rows
