"""Reads run directories into typed objects. Everything the report says is made from what this file returns."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from entrostat.errors import require
from entrostat.observe import records
from entrostat.observe.analysis.curves import Curves, of_records
from entrostat.observe.files import run_description, run_directories
from entrostat.observe.records import EvaluationRecord, StepRecord

_STATES = ("waiting", "running", "done", "stopped", "failed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One completion a model wrote at an evaluation."""

    step: int
    split: str
    problem: str
    prompt: str
    target: str
    completion: str
    reward: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One recipe trained with one seed."""

    path: Path
    """The run's directory."""
    label: str
    """What the reader calls this recipe; unique settings have a unique label."""
    recipe: str
    """Name of the recipe behind the label."""
    seed: int
    planned: int
    """Optimizer steps the run is meant to take."""
    status: str
    """`waiting`, `running`, `done`, `stopped` or `failed`."""
    description: str = ""
    acts_on: str = ""
    """What the recipe acts on; empty where the run does not say."""
    task: str = ""
    model: str = ""
    wall_seconds: float | None = None
    process_seconds: float | None = None
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    versions: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    steps: tuple[StepRecord, ...] = ()
    evaluations: tuple[EvaluationRecord, ...] = ()

    @property
    def reached(self) -> int:
        """Number of the last step on record; 0 when there is none."""
        return self.steps[-1].step if self.steps else 0

    @property
    def finished(self) -> bool:
        """Whether its last values may be called final."""
        return self.status == "done" and bool(self.steps)

    @functools.cached_property
    def curves(self) -> Curves:
        """The run as curves."""
        return of_records(
            (*self.steps, *self.evaluations),
            name=f"{self.label}, seed {self.seed}",
            recipe=self.recipe,
            acts_on=self.acts_on,
            parameters=self.parameters,
        )

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return (step, value) of one field of the step records, where it was measured and finite."""
        return self.curves.series(name)

    def curve(self, k: str, split: str) -> list[tuple[int, float]]:
        """Return (step, pass@k) of the evaluations on one split."""
        return [(item.step, item.pass_at[k]) for item in self.evaluations if item.split == split and k in item.pass_at]


def load(directories: Sequence[Path]) -> list[Run]:
    """Return the runs below some directories, the baseline first, then by label and seed.

    Args:
        directories: each an output directory with `runs/` in it, or the directory of one run.

    Raises:
        ValueError: a directory is missing or holds no run, or a file in it is damaged.
    """
    require(bool(directories), "directories", "name an output directory or a run directory", directories)
    found: dict[Path, Run] = {}
    origins: dict[Path, Path] = {}
    for directory in directories:
        for path in run_directories(directory):
            key = path.resolve()
            if key not in found:
                found[key], origins[key] = _load_run(path), directory
    runs = _distinct(found, origins)
    return sorted(runs, key=lambda run: (run.recipe != "none", run.recipe != "entropy_bonus", run.label, run.seed))


def _load_run(path: Path) -> Run:
    described = run_description(path / "run.json")
    log = path / "records.jsonl"
    lines = records.read(log) if log.exists() else []
    if described.get("status") not in _STATES:
        raise ValueError(f"{path / 'run.json'}: status {described.get('status')!r} is none of {', '.join(_STATES)}.")
    steps = [record for record in lines if isinstance(record, StepRecord)]
    evaluations = [record for record in lines if isinstance(record, EvaluationRecord)]
    return Run(
        path=path,
        label=_field(described, "label", str, path),
        recipe=_field(described, "recipe", str, path),
        seed=_field(described, "seed", int, path),
        planned=_field(described, "steps", int, path),
        status=_field(described, "status", str, path),
        description=_field(described, "description", str, path, default=""),
        acts_on=_field(described, "acts_on", str, path, default=""),
        task=_field(described, "task", str, path, default=""),
        model=_field(described, "model", str, path, default=""),
        wall_seconds=_seconds(described.get("wall_seconds")),
        process_seconds=_seconds(described.get("process_seconds")),
        parameters=_field(described, "parameters", dict, path, default={}),
        versions=_field(described, "versions", dict, path, default={}),
        steps=tuple(sorted(steps, key=lambda record: record.step)),
        evaluations=tuple(sorted(evaluations, key=lambda record: record.step)),
    )


def _field(described: dict[str, Any], name: str, kind: type, path: Path, *, default: Any = None) -> Any:
    value = described.get(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{path / 'run.json'}: field {name!r} should be {kind.__name__}, got {value!r}.")
    return value


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _distinct(found: dict[Path, Run], origins: dict[Path, Path]) -> list[Run]:
    # Two jobs may use one label for different settings, or repeat a seed: pooled, they would look like seeds of one
    # recipe. Their labels then carry where they came from.
    clashing = {
        found[a].label for a in found for b in found if origins[a] != origins[b] and _differ(found[a], found[b])
    }
    return [
        dataclasses.replace(run, label=f"{run.label} ({_origin(origins[key], origins)})")
        if run.label in clashing
        else run
        for key, run in found.items()
    ]


def _origin(directory: Path, origins: dict[Path, Path]) -> str:
    same_name = {other for other in origins.values() if other.name == directory.name}
    return directory.name if len(same_name) == 1 else str(directory)


def _differ(one: Run, other: Run) -> bool:
    same_settings = (one.parameters, one.planned) == (other.parameters, other.planned)
    return one.label == other.label and (one.seed == other.seed or not same_settings)


def last_samples(run: Run) -> list[Sample]:
    """Return the completions of a run's last evaluation, those of the test split if there are any.

    Raises:
        ValueError: `samples.jsonl` holds a line that is no sample; the message names the file and the line.
    """
    latest: list[Sample] = []
    for sample in _samples(run.path / "samples.jsonl"):
        if not latest or sample.step > latest[0].step:
            latest = [sample]
        elif sample.step == latest[0].step:
            latest.append(sample)
    return [sample for sample in latest if sample.split == "test"] or latest


def _samples(path: Path) -> Iterator[Sample]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return  # the line a kill cut short
            yield _sample(line, f"{path}, line {number}")


def _sample(line: str, place: str) -> Sample:
    try:
        fields = json.loads(line)
        return Sample(
            step=int(fields["step"]),
            split=str(fields["split"]),
            problem=str(fields["problem"]),
            prompt=str(fields["prompt"]),
            target=str(fields["target"]),
            completion=str(fields["completion"]),
            reward=float(fields["reward"]),
        )
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{place}: not a sample. Remove the line, or the run's directory to start it anew.") from None
