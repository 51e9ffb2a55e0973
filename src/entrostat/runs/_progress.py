"""What the terminal shows while a job runs: a live table on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from entrostat.job import Job
from entrostat.runs._pool import Running

_BAR = 20


class Progress:
    """Shows the runs of a job; a context manager around `run_job`, whose `on_look` is `show`."""

    def __init__(self, job: Job, console: Console) -> None:
        self._job, self._console = job, console
        self._started = time.monotonic()
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
        if self._live:
            self._live.update(self._table(runs))
        else:
            self._lines(runs)

    def _table(self, runs: list[Running]) -> Table:
        table = Table(
            title=f"{self._elapsed()} gone, {self._left(runs)}", title_justify="left", box=None, pad_edge=False
        )
        for heading in ("run", "", "step", "entropy", "band", "coef", "reward"):
            table.add_column(heading, justify="left" if heading in ("run", "") else "right")
        for run in runs:
            step = run.last.step if run.last else 0
            filled = round(_BAR * step / self._job.steps)
            bar = "━" * filled + "╌" * (_BAR - filled)
            table.add_row(run.name, bar, f"{step}/{self._job.steps}", *_figures(run))
        return table

    def _lines(self, runs: list[Running]) -> None:
        for run in runs:
            tenth = 10 * (run.last.step if run.last else 0) // self._job.steps
            if run.status == "waiting" or self._said.get(run.name) == tenth:
                continue
            self._said[run.name] = tenth
            if run.last:
                entropy, _, coef, reward = _figures(run)
                step = f"step {run.last.step}/{self._job.steps}"
                figures = f"entropy {entropy}  coef {coef}  reward {reward}"
                self._console.print(f"{self._elapsed()}  {run.name}  {step}  {figures}", highlight=False)
            else:
                self._console.print(f"{self._elapsed()}  {run.name}  started", highlight=False)

    def _elapsed(self) -> str:
        return _clock(time.monotonic() - self._started)

    def _left(self, runs: list[Running]) -> str:
        total = self._job.steps * len(runs)
        done = sum(run.last.step if run.last else 0 for run in runs)
        if done < total / 50:
            return "time left not known yet"
        return f"about {_clock((time.monotonic() - self._started) * (total - done) / done)} left"


def _figures(run: Running) -> tuple[str, str, str, str]:
    last = run.last
    if last is None:
        return ("", "", "", run.status)
    band = "" if last.band_low is None else f"{last.band_low:.2f}-{last.band_high:.2f}"
    reward = "" if last.reward is None else f"{last.reward:.2f}"
    return (f"{last.clamped_entropy:.3f}", band, f"{last.coef:.4f}", reward)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
