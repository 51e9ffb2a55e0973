"""Says how a report's numbers came about: settings, seeds, evaluations, versions, and the conventions of the page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from entrostat.observe.analysis.findings import (
    COLLAPSED,
    EXPLODED,
    INERT_MASS,
    INERT_SHARE,
    LEAKED,
    PINNED,
    SWING,
    SWINGS,
    WINDOW,
)
from entrostat.observe.report._drawings import window
from entrostat.observe.report._facts import Group
from entrostat.observe.report._headline import HELD
from entrostat.observe.report._load import Run
from entrostat.observe.report._text import ABSENT, duration, label, listed, shown


def making(groups: list[Group], jobs: list[str]) -> str:
    """Return the section's HTML: a list of facts, a table of settings, the notes."""
    runs = [run for group in groups for run in group.runs]
    return _facts(runs) + _settings(groups) + "".join(map(_job, jobs)) + _notes(runs)


def _facts(runs: list[Run]) -> str:
    seconds = [run.process_seconds for run in runs if run.process_seconds is not None]
    rows = {
        "Task": _each(run.task for run in runs),
        "Start model": _each(run.model for run in runs),
        "Seeds": _each(str(run.seed) for run in runs),
        "Steps": _each(str(run.planned) for run in runs),
        "Evaluations": _evaluations(runs),
        "CPU time, all runs": duration(sum(seconds)) if seconds else "",
        "Versions": _versions(runs),
    }
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows.items() if value) + "</dl>"


def _each(values: Iterable[str]) -> str:
    return shown(listed(sorted({value for value in values if value}, key=lambda value: (len(value), value))))


def _evaluations(runs: list[Run]) -> str:
    kinds = {
        (item.split, item.problems, item.samples, item.temperature): None for run in runs for item in run.evaluations
    }
    return "<br>".join(
        f"{shown(split, limit=60)}: {problems:,} problems, {samples} samples each at temperature {temperature:g}"
        for split, problems, samples, temperature in sorted(kinds)
    )


def _versions(runs: list[Run]) -> str:
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.versions.items():
            found.setdefault(name, {})[str(version)] = None
    return ", ".join(f"{shown(name, limit=60)} {shown(' / '.join(found[name]), limit=200)}" for name in found)


def _settings(groups: list[Group]) -> str:
    flat = [dict(_flat(group.runs[0].parameters)) for group in groups]
    names = dict.fromkeys(name for settings in flat for name in settings)
    if not names:
        return ""
    head = "".join(f'<th scope="col">{label(group.label)}</th>' for group in groups)
    rows = "".join(
        f'<tr><th scope="row">{shown(name, limit=100)}</th>'
        + "".join(f"<td>{shown(settings.get(name, ABSENT), limit=300)}</td>" for settings in flat)
        + "</tr>"
        for name in names
    )
    return (
        '<div class="wide" role="region" tabindex="0" aria-label="Settings of the recipes"><table class="settings">'
        '<caption class="unseen">Settings of the recipes</caption>'
        f'<thead><tr><th scope="col">Setting</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, value if isinstance(value, str) else json.dumps(value)))
    return pairs


def _notes(runs: list[Run]) -> str:
    bold = window(max(run.reached for run in runs))
    calm = f", smoothed over {bold} steps" if bold > 1 else ""
    notes = (
        "Intervals are 95% intervals of the mean over seeds, by Student's t. They show how much the seed matters, not "
        "how much the choice of problems does.",
        "The last values of a step series are means over the last 20 steps (fewer in runs under 40 steps), its "
        "start is the mean of the first 5. The last model is evaluated, never the best one.",
        "The numbers above a plot are those of its bold lines, so they are medians over seeds; those of the "
        "table are means.",
        f"Thin lines are single seeds as recorded. The bold line is the median over seeds{calm}. "
        "The strip around it is the middle half of the seeds, quartile to quartile, where there are three or more. "
        "Lines of many points are thinned for drawing; the least and the greatest of every stretch stay.",
        f"A finding must last {WINDOW} steps. Collapsed: entropy under {COLLAPSED:.0%} of its start until the "
        f"end. Exploded: entropy over {EXPLODED:g} times its start. Leaked: over {LEAKED:.0%} of the probability "
        f"on useless tokens. Pinned: the coefficient at its ceiling in at least {PINNED:.0%} of the steps. "
        f"Oscillated: at least {SWINGS} swings by a factor of {SWING:g} or more, up and down in turn; collapsed or "
        "exploded is then judged by the mean over the last third. Inert: a clamp "
        f"that removes under {INERT_MASS:.0%} of the probability and under {INERT_SHARE:.0%} of the entropy. Held "
        f"in band: inside it for at least {HELD:.0%} of the steps after warm-up.",
        "Point at a step in a plot, or move the slider with the arrow keys: it is marked in every plot, and the "
        "numbers above each are those of its bold lines at that step. Drag across a plot to zoom all of them, or "
        "zoom in around that step with a button; double-click to see the whole run again.",
    )
    return '<h3>How to read it</h3><ul class="notes">' + "".join(f"<li>{note}</li>" for note in notes) + "</ul>"


def _job(text: str) -> str:
    """Return the text of a resolved job file, folded away."""
    body = shown(text, limit=20_000)
    return f'<details><summary>The job as resolved</summary><pre tabindex="0">{body}</pre></details>'
