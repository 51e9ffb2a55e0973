"""Follows the records of runs that other processes write."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from entrostat.observe import records
from entrostat.observe.files import Tail, run_description, run_directories
from entrostat.observe.records import EvaluationRecord, Record, StepRecord, decode

_ENDED = ("done", "stopped", "failed")


@dataclasses.dataclass
class Seen:
    """One run, as far as it has been read."""

    path: Path
    name: str
    label: str
    status: str = ""
    """What `run.json` says; empty for records without one, whose end nobody tells."""
    planned: int | None = None
    steps: list[StepRecord] = dataclasses.field(default_factory=list[StepRecord])
    evaluations: list[EvaluationRecord] = dataclasses.field(default_factory=list[EvaluationRecord])

    @property
    def ended(self) -> bool:
        """Whether no more is to come."""
        return self.status in _ENDED

    def take(self, record: Record) -> None:
        """Add a record. A run that resumed writes steps again: what was read of them and of later ones goes."""
        # An evaluation may stand before or after the line of its own step.
        if isinstance(record, StepRecord):
            self.steps = _before(self.steps, record.step)
            self.steps.append(record)
            self.evaluations = _before(self.evaluations, record.step + 1)
        else:
            same = [old for old in self.evaluations if old.step == record.step and old.split != record.split]
            self.evaluations = [*_before(self.evaluations, record.step), *same, record]


def _before(records: list[Any], step: int) -> list[Any]:
    if not records or records[-1].step < step:
        return records
    return [record for record in records if record.step < step]


class Follower:
    """Reads what some runs have written since the last look.

    Args:
        path: directory of a job, of a run, or of nothing but a `records.jsonl`.

    Raises:
        ValueError: there is no such directory, or no run in it, or a file of it is damaged.

    Example:
        >>> import tempfile
        >>> from entrostat.observe.records import RecordWriter
        >>> path = Path(tempfile.mkdtemp())
        >>> writer = RecordWriter(path / "records.jsonl")
        >>> writer.write(StepRecord(step=1, entropy=0.5, clamped_entropy=0.4, kept_mass=0.9, coef=0.1, bonus=-0.04))
        >>> follower = Follower(path)
        >>> [len(run.steps) for run in follower.look()]
        [1]
        >>> writer.write(StepRecord(step=2, entropy=0.5, clamped_entropy=0.4, kept_mass=0.9, coef=0.1, bonus=-0.04))
        >>> [len(run.steps) for run in follower.look()]
        [2]
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._runs: dict[Path, tuple[Seen, Tail]] = {}
        for directory in run_directories(path, bare=True):
            self._add(directory)

    def look(self) -> list[Seen]:
        """Return all runs, with what is new. A run that was added is found; a line still being written waits."""
        for directory in run_directories(self._path, bare=True):
            if directory not in self._runs:
                self._add(directory)
        for run, tail in self._runs.values():
            _describe(run)
            _read(run, tail)
        return [run for run, _ in self._runs.values()]

    def _add(self, directory: Path) -> None:
        log = directory / "records.jsonl"
        if log.exists():
            records.read(log)  # damage is named, with its line
        self._runs[directory] = (Seen(directory, directory.name, directory.name), Tail(log))


def _describe(run: Seen) -> None:
    path = run.path / "run.json"
    if not path.is_file():
        return
    described = run_description(path)
    label, seed, planned, status = (described.get(name) for name in ("label", "seed", "steps", "status"))
    if not (isinstance(label, str) and isinstance(seed, int) and isinstance(planned, int) and isinstance(status, str)):
        raise ValueError(f"{path} is damaged: it should say `label`, `seed`, `steps` and `status`.")
    run.label, run.name, run.planned, run.status = label, f"{label} seed {seed}", planned, status


def _read(run: Seen, tail: Tail) -> None:
    try:
        for line in tail.new_lines():
            run.take(decode(line))
    except ValueError as error:
        raise ValueError(f"{run.path / 'records.jsonl'}: {error}.") from None
