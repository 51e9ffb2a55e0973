"""Where a job lives on disk.

OUT/job.toml                        the job as resolved
OUT/report.html                     made when the job ends or is stopped
OUT/runs/LABEL-seedK/run.json       what this run is, and its status
                     records.jsonl  one line per optimizer step and evaluation
                     samples.jsonl  every response sampled in an evaluation
                     tokens.jsonl   a few more responses, token by token
                     checkpoints/   a resume starts from the newest
                     log.txt        the output of the process
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrostat import recipes
from entrostat.integrations.host import STATE_FILE
from entrostat.jobs import settings
from entrostat.jobs.settings import Job, RecipeJob
from entrostat.observe import files

_PATIENCE = 10.0
"""Seconds to wait for the lock of a process that is ending."""


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run."""

    path: Path

    @property
    def info_path(self) -> Path:
        """The description of the run and its status."""
        return self.path / "run.json"

    @property
    def records(self) -> Path:
        """The run's records."""
        return self.path / "records.jsonl"

    @property
    def samples(self) -> Path:
        """Responses sampled in evaluations."""
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
        """The output of the process."""
        return self.path / "log.txt"

    def info(self) -> dict[str, Any]:
        """Return the content of `run.json`; raises `ValueError` if it is missing or damaged."""
        return files.run_description(self.info_path)

    def update(self, **changes: Any) -> None:
        """Change some values in `run.json`, all at once."""
        info = self.info() if self.info_path.exists() else {"schema": files.RUN_SCHEMA}
        files.replace_text(self.info_path, json.dumps({**info, **changes}, indent=1))

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep every other process from writing this run; the lock of a killed process goes with it.

        A process that was killed takes a moment to end, so the lock is waited for.

        Raises:
            ValueError: another process has been writing the run for ten seconds.
        """
        with (self.path / "lock").open("w") as handle:
            until = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise ValueError(f"{self.path} is being written by another process. Stop it first.") from None
                    time.sleep(0.1)
            yield

    def whole_checkpoint(self) -> tuple[Path | None, int]:
        """Return the newest complete checkpoint and its step; (None, 0) if there is none.

        The controller's state is the last file of a checkpoint: a folder without it was cut short by a kill, and the
        one before is used, of which at least one is always kept.
        """
        found: list[tuple[int, Path]] = []
        for path in self.checkpoints.glob("checkpoint-*"):
            number = path.name.removeprefix("checkpoint-")
            if number.isdecimal() and (path / STATE_FILE).exists() and _is_json(path / "trainer_state.json"):
                found.append((int(number), path))
        step, path = max(found, default=(0, None))
        return path, step

    def rewind(self, step: int) -> None:
        """Drop samples and tokens drawn after `step`, and a last line that a kill cut short."""
        for log in (self.samples, self.tokens):
            if log.exists():
                lines = log.read_text(encoding="utf-8").split("\n")[:-1]
                kept = [line for line in lines if json.loads(line)["step"] <= step]
                files.replace_text(log, "".join(line + "\n" for line in kept))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
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

    def check_free(self) -> None:
        """Raise `ValueError` if there is a job here already."""
        if self.job_path.exists():
            raise ValueError(f"{self.path} already holds a job. Continue it with --resume, or choose another --out.")

    def create(self, job: Job) -> None:
        """Make the directories of a new job.

        Raises:
            ValueError: there is a job here already, or the place cannot be written.
        """
        import tomli_w

        self.check_free()
        try:
            for seed in job.seeds:
                for recipe in job.recipes:
                    self._create_run(job, recipe, seed)
            files.replace_text(self.job_path, tomli_w.dumps(settings.to_table(job)))
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
            task=job.data.source or "countdown",
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
        return settings.load(self.job_path)


def run_directories(path: Path) -> list[RunDirectory]:
    """Return the runs below a job's directory, or the one run whose directory it is.

    Raises:
        ValueError: there is no run.
    """
    return [RunDirectory(directory) for directory in files.run_directories(path)]
