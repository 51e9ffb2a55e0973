"""A job on the screen: a live table while it runs, or lines where there is no terminal, and a table at its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from entrostat.jobs.runs._directory import RunDirectory
from entrostat.jobs.runs._pool import Running
from entrostat.jobs.settings import Job
from entrostat.observe.records import EvaluationRecord, StepRecord, read
from entrostat.observe.screen import ECHO, Row, run_table

_WINDOW = 20
"""Last steps over which the entropy at the end is averaged."""


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
        """Show how far the runs are."""
        if self._before is None:
            self._before = sum(map(_done, runs))  # steps from before a resume took no time in this process
        if self._live:
            self._live.update(self._table(runs))
        else:
            self._print_lines(runs)

    def _table(self, runs: list[Running]) -> Table:
        rows = [
            Row(name=run.name, planned=self._job.steps, status=run.status, last=run.last, evaluated=run.evaluated)
            for run in runs
        ]
        return run_table(
            rows,
            width=self._console.width - ECHO,
            plain=not self._console.encoding.startswith("utf"),
            title=f"{self._elapsed()} gone, {self._left(runs)}",
        )

    def _print_lines(self, runs: list[Running]) -> None:
        """Print a line for each run that has started or done another tenth of its steps."""
        for run in runs:
            tenth = 10 * _done(run) // self._job.steps
            if run.status == "waiting" or self._said.get(run.name) == tenth:
                continue
            self._said[run.name] = tenth
            text = "started"
            if run.last:
                reward = "" if run.last.reward is None else f"{run.last.reward:.2f}"
                text = f"step {run.last.step}/{self._job.steps}  entropy {run.last.clamped_entropy:.3f}  "
                text += f"coef {run.last.coef:.4f}  reward {reward}"
            self._console.print(f"{self._elapsed()}  {run.name}  {text}", highlight=False)

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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def summary(runs: Sequence[RunDirectory]) -> Table:
    """Return a table of the finished runs: entropy at start and end, and pass@k of the last evaluation, by recipe.

    Figures are means over seeds. The first row is the start model.
    """
    finished: dict[str, list[tuple[list[StepRecord], list[EvaluationRecord]]]] = {}
    for run in runs:
        info = run.info()
        if info.get("status") == "done":
            records = read(run.records)
            steps = [record for record in records if isinstance(record, StepRecord)]
            if steps:
                # A damaged description may have lost its label.
                finished.setdefault(str(info.get("label", run.path.name)), []).append((steps, _judged(records)))
    ks = _common_ks([evaluations for group in finished.values() for _, evaluations in group])
    table = Table("recipe", "entropy", *(f"pass@{k}" for k in ks), box=None, pad_edge=False)
    if ks:
        first = [evaluations[0] for group in finished.values() for _, evaluations in group]
        table.add_row("start model", "", *_passes(first, ks))
    for label, group in finished.items():
        start = fmean(fmean(record.entropy for record in steps[:5]) for steps, _ in group)
        end = fmean(fmean(record.entropy for record in steps[-_WINDOW:]) for steps, _ in group)
        table.add_row(label, f"{start:.2f} -> {end:.2f}", *_passes([judged[-1] for _, judged in group if judged], ks))
    return table


def _judged(records: Sequence[object]) -> list[EvaluationRecord]:
    """Return the evaluations on test problems, or on validation problems where there are none."""
    evaluations = [record for record in records if isinstance(record, EvaluationRecord)]
    return [record for record in evaluations if record.split == "test"] or evaluations


def _common_ks(evaluations: list[list[EvaluationRecord]]) -> list[str]:
    if not evaluations or not all(evaluations):
        return []
    return [k for k in evaluations[0][-1].pass_at if all(k in each[-1].pass_at for each in evaluations)]


def _passes(records: list[EvaluationRecord], ks: list[str]) -> list[str]:
    return [f"{fmean(record.pass_at[k] for record in records):.3f}" for k in ks]
