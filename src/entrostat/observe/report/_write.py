"""Writes the report file."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from entrostat.observe.files import replace_text
from entrostat.observe.report._drawings import drawings
from entrostat.observe.report._facts import groups, ks
from entrostat.observe.report._law_panel import law_drawings
from entrostat.observe.report._load import Run, load
from entrostat.observe.report._page import page
from entrostat.observe.report._panels import panels
from entrostat.observe.report._token_view import token_view


def write_report(directories: Sequence[Path], out: Path, *, scripts: Sequence[str] = ()) -> Path:
    """Write one self-contained HTML page about all runs in some directories, from their records alone.

    Args:
        directories: each an output directory with `runs/` in it, or the directory of one run.
        out: the file to write; its directory must exist. An older file is replaced at once or not at all.
        scripts: further scripts that the page is to run, after its own.

    Returns:
        `out`.

    Raises:
        ValueError: a directory is missing or holds no run, a file in it is damaged, or `out` cannot be written.
        ImportError: plotly, whose script the page carries, is not installed.

    Example:
        >>> import json, tempfile
        >>> from entrostat.observe.records import RecordWriter, StepRecord
        >>> run = Path(tempfile.mkdtemp())
        >>> _ = (run / "run.json").write_text(json.dumps({"schema": 1, "label": "none", "recipe": "none", "seed": 0,
        ...                                               "steps": 1, "status": "done"}))
        >>> RecordWriter(run / "records.jsonl").write(
        ...     StepRecord(step=1, entropy=0.5, clamped_entropy=0.5, kept_mass=1.0, coef=0.0, bonus=0.0))
        >>> write_report([run], run / "report.html").name
        'report.html'
    """
    plotly = _plotly_script()
    with _uncollected():
        text = _written(directories, plotly, scripts)
    _replace(out, text)
    return out


def _written(directories: Sequence[Path], plotly: str, scripts: Sequence[str]) -> str:
    runs = load(directories)
    gathered, shown_ks = groups(runs), ks(runs)
    chosen = panels(shown_ks, _split(runs))
    drawn = drawings(gathered, chosen)
    drawn += law_drawings(gathered)
    keys = {drawing.panel.key for drawing in drawn}
    absent = [panel for panel in chosen if panel.key not in keys]
    view = token_view(gathered)
    return page(
        gathered, drawn, ks=shown_ks, absent=absent, jobs=_jobs(directories), plotly=plotly, view=view, more=scripts
    )


@contextmanager
def _uncollected() -> Generator[None]:
    # Long runs are tens of millions of small objects and no cycle among them: a collector that looks at all of them
    # again and again would take longer than everything else.
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _jobs(directories: Sequence[Path]) -> list[str]:
    paths = [directory / "job.toml" for directory in dict.fromkeys(directories)]
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()]


def _split(runs: list[Run]) -> str:
    # The curve is drawn on the split evaluated most often, the table always on the test split.
    counts = Counter(item.split for run in runs for item in run.evaluations)
    return max(sorted(counts), key=lambda split: (counts[split], split == "test"), default="test")


def _plotly_script() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ImportError("a report needs plotly: install entrostat with its `report` extra.") from None
    # A browser hashes a script after it has turned every line break into one "\n".
    return get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")


def _replace(out: Path, text: str) -> None:
    try:
        replace_text(out, text)
    except OSError as error:
        raise ValueError(f"cannot write the report to {out}: {error.strerror}.") from None
