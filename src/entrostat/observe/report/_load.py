"""Reads run directories. The report is made from the runs returned here, and from `_answers`."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from entrostat.errors import require
from entrostat.observe import records
from entrostat.observe.analysis.curves import Curves, Point, of_records
from entrostat.observe.files import run_description, run_directories
from entrostat.observe.records import QUANTITIES, EvaluationRecord, StepRecord

AnyPath = str | os.PathLike[str]
_STATES = ("waiting", "running", "done", "stopped", "failed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One recipe trained with one seed."""

    path: Path
    """The run's directory."""
    label: str
    """Name of the recipe and its settings for the reader; unique settings have a unique label."""
    recipe: str
    """Name of the recipe behind the label."""
    seed: int
    planned: int
    """Optimizer steps the run is meant to take."""
    status: str
    """`waiting`, `running`, `done`, `stopped` or `failed`."""
    description: str = ""
    acts_on: str = ""
    """The part of the loss that the recipe acts on; empty where the run does not say."""
    task: str = ""
    model: str = ""
    wall_seconds: float | None = None
    process_seconds: float | None = None
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    versions: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    steps: Sequence[int] = ()
    """Numbers of the optimizer steps on record."""
    columns: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict[str, Sequence[float]])
    """By field of `StepRecord`, its value at each of the `steps`; NaN where it was not measured."""
    evaluations: Sequence[EvaluationRecord] = ()

    @property
    def reached(self) -> int:
        """Number of the last step on record; 0 when there is none."""
        return self.steps[-1] if self.steps else 0

    @property
    def finished(self) -> bool:
        """Whether its last values may be called final."""
        return self.status == "done" and bool(self.steps)

    @functools.cached_property
    def curves(self) -> Curves:
        """The run as curves."""
        values = {name: _Points(self.steps, column) for name, column in self.columns.items()}
        return Curves(
            values={**values, "accuracy": of_records(self.evaluations, name=self.label).series("accuracy")},
            name=f"{self.label}, seed {self.seed}",
            recipe=self.recipe,
            acts_on=self.acts_on,
            parameters=self.parameters,
        )

    def series(self, name: str) -> list[Point]:
        """Return (step, value) of one field of the step records, where it was measured and finite."""
        return self.curves.series(name)

    def passes(self, k: str, split: str) -> list[Point]:
        """Return (step, pass@k) of the evaluations on one split."""
        return [(item.step, item.pass_at[k]) for item in self.evaluations if item.split == split and k in item.pass_at]


@dataclasses.dataclass(frozen=True)
class _Points:
    """A column with its steps, paired only while somebody reads: long runs are millions of pairs."""

    steps: Sequence[int]
    values: Sequence[float]

    def __iter__(self) -> Iterator[Point]:
        return zip(self.steps, self.values, strict=True)


def load_runs(paths: AnyPath | Sequence[AnyPath]) -> list[Run]:
    """Return the runs below one or several directories, the baseline first, then by label and seed. Needs no torch.

    Args:
        paths: each an output directory with `runs/` in it, or the directory of one run.

    Raises:
        ValueError: a directory is missing or holds no run, or a file in it is damaged.

    Example:
        >>> import json, tempfile
        >>> from entrostat.observe.records import RecordWriter, StepRecord
        >>> path = Path(tempfile.mkdtemp())
        >>> _ = (path / "run.json").write_text(json.dumps({"schema": 1, "label": "none", "recipe": "none", "seed": 0,
        ...                                                "steps": 1, "status": "done"}))
        >>> RecordWriter(path / "records.jsonl").write(
        ...     StepRecord(step=1, entropy=0.5, clamped_entropy=0.5, kept_mass=1.0, coef=0.0, bonus=0.0))
        >>> (run,) = load_runs(path)
        >>> run.label, run.series("entropy"), run.columns["reward"]
        ('none', [(1, 0.5)], array('d', [nan]))
    """
    directories = as_paths(paths)
    require(bool(directories), "paths", "name an output directory or a run directory", paths)
    found: dict[Path, Run] = {}
    origins: dict[Path, Path] = {}
    for directory in directories:
        for path in run_directories(directory):
            key = path.resolve()
            if key not in found:
                found[key], origins[key] = _with_records(describe_run(path)), directory
    runs = _distinct(found, origins)
    return sorted(runs, key=lambda run: (run.recipe != "none", run.recipe != "entropy_bonus", run.label, run.seed))


def as_paths(paths: AnyPath | Sequence[AnyPath]) -> list[Path]:
    """Return one or several paths as a list."""
    return [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(path) for path in paths]


def describe_run(path: Path) -> Run:
    """Return a run as its `run.json` describes it, without its records.

    Raises:
        ValueError: the file is damaged; the message names it.
    """
    described = run_description(path / "run.json")
    if described.get("status") not in _STATES:
        raise ValueError(f"{path / 'run.json'}: status {described.get('status')!r} is none of {', '.join(_STATES)}.")

    def field(name: str, kind: type, default: Any = None) -> Any:
        value = described.get(name, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{path / 'run.json'}: field {name!r} should be {kind.__name__}, got {value!r}.")
        return value

    def seconds(name: str) -> float | None:
        value = described.get(name)
        return float(value) if isinstance(value, int | float) else None

    return Run(
        path=path,
        label=field("label", str),
        recipe=field("recipe", str),
        seed=field("seed", int),
        planned=field("steps", int),
        status=field("status", str),
        **{name: field(name, str, "") for name in ("description", "acts_on", "task", "model")},
        **{name: seconds(name) for name in ("wall_seconds", "process_seconds")},
        **{name: field(name, dict, {}) for name in ("parameters", "versions")},
    )


def _with_records(run: Run) -> Run:
    log = run.path / "records.jsonl"
    lines = sorted(records.read(log) if log.exists() else [], key=lambda record: record.step)
    steps = [record for record in lines if isinstance(record, StepRecord)]
    # Half a million records are half a gigabyte of small objects, which Python's garbage collector visits again and
    # again. As columns they are one object for each quantity of a run.
    columns = {
        name: array("d", [math.nan if (value := getattr(record, name)) is None else value for record in steps])
        for name in QUANTITIES
    }
    return dataclasses.replace(
        run,
        steps=array("q", [record.step for record in steps]),
        columns=columns,
        evaluations=tuple(record for record in lines if isinstance(record, EvaluationRecord)),
    )


def _distinct(found: dict[Path, Run], origins: dict[Path, Path]) -> list[Run]:
    # Two jobs may use one label for different settings, or repeat a seed: pooled, they would look like seeds of one
    # recipe. Their labels then carry where they came from.
    def differ(one: Run, other: Run) -> bool:
        same_settings = (one.parameters, one.planned) == (other.parameters, other.planned)
        return one.label == other.label and (one.seed == other.seed or not same_settings)

    def origin(directory: Path) -> str:
        same_name = {other for other in origins.values() if other.name == directory.name}
        return directory.name if len(same_name) == 1 else str(directory)

    clashing = {found[a].label for a in found for b in found if origins[a] != origins[b] and differ(found[a], found[b])}
    return [
        dataclasses.replace(run, label=f"{run.label} ({origin(origins[key])})") if run.label in clashing else run
        for key, run in found.items()
    ]
