"""Follows runs while they go on, in the terminal or on a local page. It only reads files: the runs do not notice."""

from __future__ import annotations

import dataclasses
import math
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.text import Text

from entrostat.observe import records
from entrostat.observe.analysis.curves import Point
from entrostat.observe.files import Tail, run_directories
from entrostat.observe.records import EvaluationRecord, Record, StepRecord, decode
from entrostat.observe.report import Run, describe_run
from entrostat.observe.screen import ECHO, Area, Line, Row, plot, run_table

_ENDED = ("done", "stopped", "failed")
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red", "bright_cyan", "bright_magenta")
_TWO_COLUMNS = 100 - ECHO
_POINTS = 300
_LEAST, _MOST = 3, 14  # rows of a plot
_HOST = "127.0.0.1"
_LOGS = ("run.json", "records.jsonl", "samples.jsonl", "tokens.jsonl")
_Curves = list[tuple[str, list[Point]]]
"""Label and points of every run."""


@dataclasses.dataclass
class Seen:
    """One run, as far as it has been read."""

    path: Path
    described: Run | None = None
    """From `run.json`; None for records without one, whose end cannot be known."""
    steps: list[StepRecord] = dataclasses.field(default_factory=list[StepRecord])
    evaluations: list[EvaluationRecord] = dataclasses.field(default_factory=list[EvaluationRecord])

    @property
    def label(self) -> str:
        """Name of its recipe for the reader."""
        return self.described.label if self.described else self.path.name

    @property
    def name(self) -> str:
        """Name of the run for the reader."""
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
    """Reads the records that some runs have written since the last look.

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
        self.look()  # damage is found at once

    def look(self) -> list[Seen]:
        """Return all runs, with their new records. New runs are found; a line still being written waits."""
        for directory in run_directories(self._path, bare=True):
            if directory not in self._runs:
                log = directory / "records.jsonl"
                if log.exists():
                    records.read(log)  # names the damaged line, which a tail cannot
                self._runs[directory] = (Seen(directory), Tail(log))
        for run, tail in self._runs.values():
            if (run.path / "run.json").is_file():
                run.described = describe_run(run.path)
            try:
                for line in tail.new_lines():
                    run.take(decode(line))
            except ValueError as error:
                raise ValueError(f"{run.path / 'records.jsonl'}: {error}.") from None
        return [run for run, _ in self._runs.values()]


def frame(runs: Sequence[Seen], *, width: int, height: int, plain: bool = False) -> RenderableType:
    """Return the runs' table and their curves: entropy in its band, reward, coefficient, pass@k.

    Args:
        runs: from `Follower.look`.
        width: columns there are.
        height: lines there are; runs that do not fit are counted.
        plain: ASCII alone, which leaves the table.
    """
    labels = dict.fromkeys(run.label for run in runs)
    colours = {label: _COLOURS[place % len(_COLOURS)] for place, label in enumerate(labels)}
    panels = [panel for panel in _panels(runs) if any(points for _, points in panel[1])]
    columns = 2 if width >= _TWO_COLUMNS else 1
    stacked = -(-len(panels) // columns)
    room = height - 2 - stacked * (_LEAST + 2)
    shown = max(1, min(len(runs), room))
    rows = [_row(run, colours[run.label]) for run in runs[:shown]]
    parts: list[RenderableType] = [run_table(rows, width=width, plain=plain)]
    if shown < len(runs):
        parts.append(Text(f"and {len(runs) - shown} more runs", style="dim"))
    if panels and not plain:
        tall = min(_MOST, max(_LEAST, (height - len(rows) - 3) // stacked - 2))
        last = max(points[-1][0] for _, curves, _ in panels for _, points in curves if points)
        wide = (width - 2 * (columns - 1)) // columns
        drawn = [_panel(title, curves, colours, wide, tall, last, area) for title, curves, area in panels]
        parts.append(Columns(drawn, padding=(0, 2), expand=False) if columns == 2 else Group(*drawn))
    return Group(*parts)


def _row(run: Seen, colour: str) -> Row:
    return Row(
        name=run.name,
        planned=run.described.planned if run.described else None,
        status=run.status,
        last=run.steps[-1] if run.steps else None,
        evaluated=run.evaluations[-1] if run.evaluations else None,
        style=colour,
    )


def _panels(runs: Sequence[Seen]) -> list[tuple[str, _Curves, Area | None]]:
    split, k = _evaluated(runs)
    passes = [
        (
            run.label,
            [(item.step, item.pass_at[k]) for item in run.evaluations if item.split == split and k in item.pass_at],
        )
        for run in runs
    ]
    band = _band(runs)
    return [
        ("entropy in nats; dashes: its band" if band else "entropy in nats", _steps(runs, "clamped_entropy"), band),
        ("reward", _steps(runs, "reward"), None),
        ("coefficient", _steps(runs, "coef"), None),
        (f"pass@{k}, {split}", passes, None),
    ]


def _steps(runs: Sequence[Seen], name: str) -> _Curves:
    def points(run: Seen) -> list[Point]:
        values = ((record.step, getattr(record, name)) for record in run.steps)
        return _thinned([(step, value) for step, value in values if value is not None and math.isfinite(value)])

    return [(run.label, points(run)) for run in runs]


def _thinned(points: list[Point]) -> list[Point]:
    """Return at most `_POINTS` points, each the mean of its neighbours: a terminal cannot show more."""
    stride = -(-len(points) // _POINTS) or 1
    chunks = [points[start : start + stride] for start in range(0, len(points), stride)]
    return [(chunk[-1][0], sum(value / len(chunk) for _, value in chunk)) for chunk in chunks]


def _band(runs: Sequence[Seen]) -> Area | None:
    """Return the band if all runs that have one have the same: two bands in one picture would look alike."""
    bands = [
        [(r.step, r.band_low, r.band_high) for r in run.steps if r.band_low is not None and r.band_high is not None]
        for run in runs
    ]
    longest = max(bands, key=len, default=[])
    if not longest or any(band != longest[: len(band)] for band in bands):
        return None
    return Area(low=[(step, low) for step, low, _ in longest], high=[(step, high) for step, _, high in longest])


def _evaluated(runs: Sequence[Seen]) -> tuple[str, str]:
    """Return the split evaluated most often and the largest k of it."""
    items = [item for run in runs for item in run.evaluations if item.pass_at]
    if not items:
        return "validation", "1"
    splits = [item.split for item in items]
    split = max(sorted(set(splits)), key=splits.count)
    return split, max({k for item in items if item.split == split for k in item.pass_at}, key=lambda k: (len(k), k))


def _panel(
    title: str, curves: _Curves, colours: dict[str, str], width: int, height: int, last: int, area: Area | None
) -> Group:
    lines = [Line(points=points, style=colours[label]) for label, points in curves]
    return Group(Text(title[:width], style="bold"), *plot(lines, width=width, height=height, last=last, area=area))


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that went away before it had the whole page."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Page:
    """Serves the report of a directory to this machine alone, under `/` and nothing else.

    The browser asks again by a header and keeps the place it was scrolled to; one more script, allowed by its hash as
    the page's own are, restores the reader's choices.

    Args:
        path: directory of a job or of a run.
        port: where; 0 takes a free one.
        every: seconds after which a browser asks again.

    Raises:
        ValueError: there is no run, or its files are damaged, or the port is taken.
    """

    def __init__(self, path: Path, *, port: int, every: float) -> None:
        self._path, self._every = path, max(1, round(every))
        self._seen: list[tuple[str, int, int]] = []
        self._keep = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
        self.final = False
        self._body = b""
        self.refresh()
        try:
            self._server = _Server((_HOST, port), self._handler())
        except OSError as error:
            raise ValueError(
                f"port {port} cannot be used: {error.strerror}. Leave out --port for a free one."
            ) from None

    @property
    def address(self) -> str:
        """The address to open in a browser."""
        return f"http://{_HOST}:{self._server.server_port}/"

    def start(self) -> None:
        """Serve from a thread of its own."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def refresh(self) -> bool:
        """Write the page again if a file it is made of has changed; return whether one had."""
        from entrostat.observe.report import report_page  # needs NumPy and jinja2, which the terminal does without

        seen = _state(self._path)
        if seen == self._seen:
            return False
        self._body = report_page(self._path, scripts=[self._keep]).encode()
        self._seen = seen
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # A foreign page may have had this address looked up under its own name (DNS rebinding).
                local = self.headers.get("Host", "").rpartition(":")[0] in (_HOST, "localhost")
                if self.path != "/" or not local:
                    self.send_error(404)
                    return
                body = page._body
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                if not page.final:
                    self.send_header("Refresh", str(page._every))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the terminal is the user's."""

        return Handler


def _state(path: Path) -> list[tuple[str, int, int]]:
    folders = [path, *sorted(path.glob("runs/*"))]
    files = [folder / name for folder in folders for name in _LOGS if (folder / name).is_file()]
    return [(str(file), (status := file.stat()).st_size, status.st_mtime_ns) for file in files]
