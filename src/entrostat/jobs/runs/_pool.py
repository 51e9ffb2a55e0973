"""The parent of a job's processes: starts a few at a time, reads their records, and stops them in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrostat.jobs.runs._directory import JobDirectory, RunDirectory
from entrostat.jobs.settings import Job, RecipeJob
from entrostat.observe.files import Tail
from entrostat.observe.records import EvaluationRecord, StepRecord, decode, read

GRACE_SECONDS = 60
"""How long a run may take to reach the end of its rollout batch and save, when the job is stopped."""

_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    # One thread per process: two threads beside another busy process spin more than they compute.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc: keep the megabyte-sized temporaries of a step on the heap instead of returning their pages every time.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


@dataclass
class Running:
    """One run of the job, as the parent sees it."""

    recipe: RecipeJob
    seed: int
    directory: RunDirectory
    process: subprocess.Popen[bytes] | None = None
    slot: int = 0
    last: StepRecord | None = None
    evaluated: EvaluationRecord | None = None
    status: str = "waiting"
    error: str = ""
    _tail: Tail | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The run's name on the screen."""
        return f"{self.recipe.label} seed {self.seed}"

    def look(self) -> None:
        """Read the records written since the last look, and check whether the process has ended."""
        self._tail = self._tail or Tail(self.directory.records)
        for line in self._tail.new_lines():
            record = decode(line)
            if isinstance(record, StepRecord):
                self.last = record
            else:
                self.evaluated = record
        if self.process is not None and self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            if code == 0:
                self.status = self.directory.info()["status"]
                return
            self.status, self.error = "failed", _last_line(self.directory.log, code)
            self.directory.update(status="failed", error=self.error)


def run_job(
    job: Job, directory: JobDirectory, *, on_look: Callable[[list[Running]], None] = lambda runs: None
) -> list[Running]:
    """Run all runs of a job that are not done yet, `job.workers` at a time.

    Args:
        job: what to run.
        directory: where; made before.
        on_look: called about twice a second with all runs, to show them.

    Returns:
        The runs, with their status: `done`, or `failed` with the reason.

    Raises:
        ValueError: a run's records are damaged.
        KeyboardInterrupt: Ctrl-C; every process has then saved a checkpoint and ended, or was killed.
    """
    runs = [Running(recipe, seed, directory.run(recipe, seed)) for seed in job.seeds for recipe in job.recipes]
    for run in runs:
        if run.directory.records.exists():
            read(run.directory.records)  # so that damage is reported before anything starts
        found = run.directory.info()["status"]
        run.status = "done" if found == "done" else "waiting"
        if found in ("stopped", "failed"):
            run.directory.update(status="waiting")  # so that `watch` does not count it as ended
        run.look()
    try:
        while any(run.status in ("waiting", "running") for run in runs):
            _start_some(runs, job.workers, directory.path)
            time.sleep(0.5)
            for run in runs:
                if run.status == "running":
                    run.look()
            on_look(runs)
    except BaseException:
        _stop(runs)
        raise
    return runs


def _start_some(runs: list[Running], workers: int, out: Path) -> None:
    free = workers - sum(run.status == "running" for run in runs)
    for run in [run for run in runs if run.status == "waiting"][: max(free, 0)]:
        taken = {other.slot for other in runs if other.status == "running"}
        run.slot = next(slot for slot in range(workers) if slot not in taken)
        run.process = _spawn(run, out)
        run.status = "running"


def _spawn(run: Running, out: Path) -> subprocess.Popen[bytes]:
    words = [str(out), run.recipe.label, str(run.seed), "--slot", str(run.slot)]
    command = [sys.executable, "-m", "entrostat.jobs.runs.worker", *words]
    with run.directory.log.open("ab") as log:
        # A session of its own: Ctrl-C reaches the parent alone, which then stops every run at a boundary.
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, **_ENVIRONMENT},
        )  # fmt: skip


def _stop(runs: list[Running]) -> None:
    processes: list[tuple[Running, Any]] = [(run, run.process) for run in runs if run.process is not None]
    for _, process in processes:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for _, process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for run in runs:
        if run.directory.info()["status"] in ("waiting", "running"):
            run.directory.update(status="stopped")


def _last_line(log: Path, code: int) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if code < 0:
        return f"its process was ended by signal {-code}; continue with --resume"
    return lines[-1].removeprefix("error: ") if lines else f"its process ended with exit code {code}"
