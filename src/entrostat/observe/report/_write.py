"""Writes the report in one direction: records, loaded runs, a story of plain values, the page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entrostat.observe.analysis import findings
from entrostat.observe.html import ARTICLE, PLOTS, THEME, asset, plotly_script, render, write_page
from entrostat.observe.report import _answers
from entrostat.observe.report._drawings import HEIGHT, NAME, WIDTH
from entrostat.observe.report._groups import Group
from entrostat.observe.report._load import AnyPath, as_paths, load_runs
from entrostat.observe.report._sentences import HELD
from entrostat.observe.report._story import Story, story_of
from entrostat.observe.text import label

_HERE = Path(__file__).parent
_CURVES = (PLOTS, _HERE / "lines.js", _HERE / "steps.js", _HERE / "page.js")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon")


def write_report(paths: AnyPath | Sequence[AnyPath], out: AnyPath | None = None) -> Path:
    """Write one self-contained HTML page about all runs in some directories, from their records alone.

    Args:
        paths: one or several directories, each an output directory with `runs/` in it, or the directory of one run.
        out: the file to write; `report.html` in the first directory if not given. An older file is replaced at once
            or not at all.

    Returns:
        The file.

    Raises:
        ValueError: a directory is missing or holds no run, a file in it is damaged, or `out` cannot be written.
        ImportError: plotly, whose script the page carries, or jinja2 is not installed.

    Example:
        >>> import json, tempfile
        >>> from entrostat.observe.records import RecordWriter, StepRecord
        >>> run = Path(tempfile.mkdtemp())
        >>> _ = (run / "run.json").write_text(json.dumps({"schema": 1, "label": "none", "recipe": "none", "seed": 0,
        ...                                               "steps": 1, "status": "done"}))
        >>> RecordWriter(run / "records.jsonl").write(
        ...     StepRecord(step=1, entropy=0.5, clamped_entropy=0.5, kept_mass=1.0, coef=0.0, bonus=0.0))
        >>> write_report(run).name
        'report.html'
    """
    page = report_page(paths)
    return write_page(page, Path(out) if out else as_paths(paths)[0] / "report.html")


def report_page(paths: AnyPath | Sequence[AnyPath], *, scripts: Sequence[str] = ()) -> str:
    """Return the page that `write_report` writes, with further scripts to run after the page's own."""
    plotly = plotly_script()  # if it is missing, the user hears it before anything is read
    runs = load_runs(paths)
    jobs = [directory / "job.toml" for directory in dict.fromkeys(as_paths(paths))]
    texts = [job.read_text(encoding="utf-8", errors="replace") for job in jobs if job.is_file()]
    return _page(story_of(runs, texts), plotly, scripts)


def _page(story: Story, plotly: str, more: Sequence[str] = ()) -> str:
    from markupsafe import Markup, escape

    marked = [Markup('<b class="name {}">{}</b>').format(one.style, label(one.label)) for one in story.groups]

    def named(sentence: str) -> Markup:
        return escape(sentence).format(*marked)

    def plain(sentence: str) -> str:
        return sentence.format(*(one.label for one in story.groups))

    scripts = [asset(_HERE / "numbers.js")] if story.drawings or story.tokens else []
    data: dict[str, Any] = {}
    if story.drawings:
        scripts = [plotly, *scripts, *map(asset, _CURVES)]
        data["curves"] = _curve_data(story)
    if story.tokens:
        scripts.append(asset(_HERE / "tokens.js"))
        data["token-data"] = _answers.view_data(story.tokens)
        data["token-groups"] = [_look(group) for group in story.groups]
    return render(
        _HERE / "page.html.j2",
        styles=[THEME, ARTICLE, _HERE / "page.css"],
        scripts=[*scripts, *more],
        data=data,
        story=story,
        named=named,
        plain=plain,
        text=_answers,
        rules=findings,
        held=HELD,
        size=(WIDTH, HEIGHT),
        longest=max(len(label(group.label, limit=NAME)) for group in story.groups),
    )


def _look(group: Group) -> dict[str, Any]:
    # Plotly reads names as markup, so they are escaped for it.
    return {
        "name": html.escape(label(group.label)),
        "short": html.escape(label(group.label, limit=NAME)),
        "slot": group.slot,
        "dash": group.dash,
        "symbol": _SYMBOLS[group.slot],
    }


def _curve_data(story: Story) -> dict[str, Any]:
    panels = [
        {
            "key": drawing.panel.key,
            "share": drawing.panel.share,
            "sparse": drawing.panel.evaluated is not None,
            "log": drawing.log,
            "named": drawing.panel.section == "entropy",
            "plane": drawing.reach,
            "shade": drawing.shade,
            "lines": drawing.lines,
        }
        for drawing in [*story.drawings, *([story.law] if story.law else [])]
    ]
    return {
        "groups": [_look(group) for group in story.groups],
        "last": story.last,
        "thin": story.thin,
        "panels": panels,
    }
