"""What the terminal shows while a job runs: a live table on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from entrostat.jobs.runs._pool import Running
from entrostat.jobs.settings import Job
from entrostat.observe.screen import ECHO, Row, run_table


class Progress:
    """Shows the runs of a job; a context manager around `run_job`, whose `on_look` is `show`."""

    def __init__(self, job: Job, console: Console) -> None:
        self._job, self._console = job, console
        self._started = time.monotonic()
        self._before: int | None = None
        self._live = Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None
        self._said: dict[str, int] = {}

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, runs: list[Running]) -> None:
        """Show how the runs stand."""
        if self._before is None:
            self._before = sum(map(_done, runs))  # what a resume found cost this process no time
        if self._live:
            self._live.update(self.table(runs))
        else:
            self._lines(runs)

    def table(self, runs: list[Running]) -> Table:
        """Return what a terminal shows."""
        rows = [
            Row(
                name=run.name, planned=self._job.steps, status=run.status, last=run.last, evaluated=run.evaluated
            )
            for run in runs
        ]  # fmt: skip
        return run_table(
            rows,
            width=self._console.width - ECHO,
            plain=not self._console.encoding.startswith("utf"),
            title=f"{self._elapsed()} gone, {self._left(runs)}",
        )

    def _lines(self, runs: list[Running]) -> None:
        for run in runs:
            tenth = 10 * _done(run) // self._job.steps
            if run.status == "waiting" or self._said.get(run.name) == tenth:
                continue
            self._said[run.name] = tenth
            if run.last:
                step = f"step {run.last.step}/{self._job.steps}"
                self._console.print(f"{self._elapsed()}  {run.name}  {step}  {_figures(run)}", highlight=False)
            else:
                self._console.print(f"{self._elapsed()}  {run.name}  started", highlight=False)

    def _elapsed(self) -> str:
        return _clock(time.monotonic() - self._started)

    def _left(self, runs: list[Running]) -> str:
        done = sum(map(_done, runs)) - (self._before or 0)
        left = sum(self._job.steps - _done(run) for run in runs if run.status in ("waiting", "running"))
        if done < self._job.steps * len(runs) / 50:
            return "time left not known yet"
        return f"about {_clock((time.monotonic() - self._started) * left / done)} left"


def _done(run: Running) -> int:
    return run.last.step if run.last else 0


def _figures(run: Running) -> str:
    if run.last is None:
        return run.status
    reward = "" if run.last.reward is None else f"{run.last.reward:.2f}"
    return f"entropy {run.last.clamped_entropy:.3f}  coef {run.last.coef:.4f}  reward {reward}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
