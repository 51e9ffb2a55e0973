"""Follows the records of runs that other processes write."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from entrostat.observe import records
from entrostat.observe.files import Tail, run_directories
from entrostat.observe.records import EvaluationRecord, Record, StepRecord, decode
from entrostat.observe.report import Run, describe_run

_ENDED = ("done", "stopped", "failed")


@dataclasses.dataclass
class Seen:
    """One run, as far as it has been read."""

    path: Path
    described: Run | None = None
    """What `run.json` says; None for records without one, whose end cannot be known."""
    steps: list[StepRecord] = dataclasses.field(default_factory=list[StepRecord])
    evaluations: list[EvaluationRecord] = dataclasses.field(default_factory=list[EvaluationRecord])

    @property
    def label(self) -> str:
        """What the reader calls its recipe."""
        return self.described.label if self.described else self.path.name

    @property
    def name(self) -> str:
        """What the reader calls the run."""
        return f"{self.label} seed {self.described.seed}" if self.described else self.path.name

    @property
    def status(self) -> str:
        """Its status; empty where that is unknown."""
        return self.described.status if self.described else ""

    @property
    def ended(self) -> bool:
        """Whether no more is to come."""
        return self.status in _ENDED

    def take(self, record: Record) -> None:
        """Add a record. A run that resumed writes steps again: those and all later ones are dropped first."""
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
            if (run.path / "run.json").is_file():
                run.described = describe_run(run.path)
            try:
                for line in tail.new_lines():
                    run.take(decode(line))
            except ValueError as error:
                raise ValueError(f"{run.path / 'records.jsonl'}: {error}.") from None
        return [run for run, _ in self._runs.values()]

    def _add(self, directory: Path) -> None:
        log = directory / "records.jsonl"
        if log.exists():
            records.read(log)  # names the damaged line, which a tail cannot
        self._runs[directory] = (Seen(directory), Tail(log))
