"""Where a job lives on disk.

OUT/job.toml                        the job as resolved
OUT/report.html                     made when the job ends or is stopped
OUT/runs/LABEL-seedK/run.json       what this run is and how it stands
                     records.jsonl  one line per optimizer step and evaluation
                     samples.jsonl  every response drawn in an evaluation
                     tokens.jsonl   a few more responses, token by token
                     checkpoints/   what a resume continues from
                     log.txt        what the process printed
"""

from __future__ import annotations

import fcntl
import json
import time
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from entrostat import recipes
from entrostat.jobs import settings as jobs
from entrostat.jobs.settings import Job, RecipeJob
from entrostat.observe import files

SCHEMA = 1
_PATIENCE = 10.0
"""Seconds to wait for the lock of a process that is going."""


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run."""

    path: Path

    @property
    def info_path(self) -> Path:
        """What this run is and how it stands."""
        return self.path / "run.json"

    @property
    def records(self) -> Path:
        """The run's records."""
        return self.path / "records.jsonl"

    @property
    def samples(self) -> Path:
        """Responses drawn in evaluations."""
        return self.path / "samples.jsonl"

    @property
    def tokens(self) -> Path:
        """A few responses of each evaluation, token by token."""
        return self.path / "tokens.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The trainer's own output directory."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.path / "log.txt"

    def info(self) -> dict[str, Any]:
        """Return what `run.json` says.

        Raises:
            ValueError: it is missing or damaged.
        """
        try:
            info = json.loads(self.info_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            raise ValueError(
                f"{self.info_path} is missing or damaged: {self.path} is not the directory of a run."
            ) from None
        if not isinstance(info, dict) or info.get("schema") != SCHEMA:
            raise ValueError(f"{self.info_path} was written by another version of entrostat.")
        return info

    def update(self, **changes: Any) -> None:
        """Change some of what `run.json` says, in one stroke."""
        info = self.info() if self.info_path.exists() else {"schema": SCHEMA}
        files.replace_text(self.info_path, json.dumps({**info, **changes}, indent=1))

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep every other process from writing this run; a killed holder's lock is gone with it.

        A process that was killed takes a moment to be gone, so the lock is waited for.

        Raises:
            ValueError: another process has been writing it for ten seconds.
        """
        with (self.path / "lock").open("w") as handle:
            until = time.monotonic() + _PATIENCE
            while not _taken(handle):
                if time.monotonic() > until:
                    raise ValueError(f"{self.path} is being written by another process. Stop that one first.")
                time.sleep(0.1)
            yield


def _taken(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class JobDirectory:
    """The directory of a job."""

    path: Path

    @property
    def job_path(self) -> Path:
        """The job as resolved."""
        return self.path / "job.toml"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def run(self, recipe: RecipeJob, seed: int) -> RunDirectory:
        """Return the directory of one run of the job."""
        return RunDirectory(self.path / "runs" / f"{recipe.label}-seed{seed}")

    def create(self, job: Job) -> None:
        """Make the directories of a new job.

        Raises:
            ValueError: there is a job here already, or the place cannot be written.
        """
        import tomli_w

        if self.job_path.exists():
            raise ValueError(f"{self.path} already holds a job. Continue it with --resume, or choose another --out.")
        try:
            for seed in job.seeds:
                for recipe in job.recipes:
                    self._create_run(job, recipe, seed)
            files.replace_text(self.job_path, tomli_w.dumps(jobs.to_table(job)))
        except OSError as error:
            raise ValueError(f"{self.path} cannot be written: {error.strerror}. Choose another --out.") from None

    def _create_run(self, job: Job, recipe: RecipeJob, seed: int) -> None:
        run = self.run(recipe, seed)
        run.path.mkdir(parents=True, exist_ok=True)
        run.update(
            label=recipe.label,
            recipe=recipe.recipe,
            parameters=dict(recipe.parameters),
            seed=seed,
            steps=job.steps,
            status="waiting",
            task="countdown",
            model=job.model or "embedded warm start",
            description=recipe.build().summary,
            acts_on="+".join(recipes.describe(part)["acts_on"] for part in recipe.recipe.split("+")),
            wall_seconds=None,
            process_seconds=None,
        )

    def load(self) -> Job:
        """Return the job that lives here.

        Raises:
            ValueError: there is none, or its file is damaged.
        """
        if not self.job_path.exists():
            raise ValueError(f"{self.path} holds no job to resume: there is no job.toml in it.")
        try:
            return jobs.load(self.job_path)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{self.job_path} is damaged: {error}") from None


def run_directories(path: Path) -> list[RunDirectory]:
    """Return the runs below a job's directory, or the one run whose directory it is.

    Raises:
        ValueError: there is no run.
    """
    return [RunDirectory(directory) for directory in files.run_directories(path)]
