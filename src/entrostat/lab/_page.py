"""Writes what the claims found as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from entrostat.lab._claim import Plot, Series
from entrostat.lab._run import Checked, figure_text
from entrostat.observe.report._text import embedded, shown

_TOPICS = {"theory": "Theory", "toy": "The toy figure", "classical": "Classical methods"}
_STYLES = {"holds": "holds", "does not hold": "fails", "not tested": "untested"}
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>entrostat lab</title>
<style>$style</style>
</head>
<body>
<header>
<p class="mark"><b>entrostat</b> lab</p>
<h1>$headline</h1>
<table class="contents">$contents</table>
</header>
<main>
<noscript><p>The plots are drawn by a script; their figures stand beside them.</p></noscript>
$sections
</main>
<script type="application/json" id="plots">$data</script>
$scripts
</body>
</html>
""")


def write_page(checked: Sequence[Checked], out: Path) -> Path:
    """Write a self-contained page with every verdict, figure and plot.

    Args:
        checked: what `run_claims` returned.
        out: the file to write; its directory is made if need be.

    Returns:
        `out`.

    Raises:
        ImportError: plotly, whose script the page carries, is not installed.
    """
    scripts = [_plotly(), _asset("page.js")]
    plots = [plot for one in checked for plot in one.outcome.plots]
    text = _PAGE.substitute(
        policy=_policy(scripts),
        style=_asset("page.css"),
        headline=_headline(checked),
        contents="".join(_line(one) for one in sorted(checked, key=lambda one: list(_TOPICS).index(one.claim.topic))),
        sections=_sections(checked),
        data=embedded([_described(plot) for plot in plots]),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8", newline="\n")
    return out


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ImportError("the lab's page needs plotly: install entrostat with its `report` extra.") from None
    # A browser hashes a script after turning its line ends into \n.
    return get_plotlyjs().replace("\r\n", "\n").replace("\r", "\n")


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    # These scripts run by their hash and nothing else does; the page loads nothing.
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def _headline(checked: Sequence[Checked]) -> str:
    counts = {word: sum(one.outcome.verdict == word for one in checked) for word in _STYLES}
    said = [f"{counts['holds']} of {len(checked)} claims hold"]
    said += [f"{count} {word}" for word, count in counts.items() if count and word != "holds"]
    return shown("; ".join(said) + ".")


def _verdict(one: Checked) -> str:
    word = one.outcome.verdict
    return f'<span class="verdict {_STYLES[word]}">{word}</span>'


def _line(one: Checked) -> str:
    name = shown(one.claim.name)
    statement = shown(one.claim.statement)
    return f'<tr><td>{_verdict(one)}</td><td><a href="#{name}">{name}</a></td><td>{statement}</td></tr>'


def _sections(checked: Sequence[Checked]) -> str:
    parts: list[str] = []
    first = 0
    numbered: list[tuple[Checked, int]] = []
    for one in checked:
        numbered.append((one, first))
        first += len(one.outcome.plots)
    for topic, title in _TOPICS.items():
        articles = "".join(_article(one, start) for one, start in numbered if one.claim.topic == topic)
        parts.append(f"<section><h2>{title}</h2>{articles}</section>" if articles else "")
    return "".join(parts)


def _article(one: Checked, first_plot: int) -> str:
    claim, outcome = one.claim, one.outcome
    rows = "".join(
        f"<tr><th>{shown(name)}</th><td>{shown(figure_text(value))}</td></tr>"
        for name, value in outcome.figures.items()
    )
    seeds = _seeds(outcome.seeds)
    return (
        f'<article id="{shown(claim.name)}"><h3>{shown(claim.name)}: {_verdict(one)}</h3>'
        f'<p class="statement">{_prose(claim.statement)}</p><p class="source">{shown(claim.source)}</p>'
        f'<table class="figures">{rows}</table>{_plots(outcome.plots, first_plot)}'
        f'<p class="remarks">{_prose(outcome.remarks)}</p>'
        f'<p class="made">Seeds: {shown(seeds)}. {one.seconds:.1f} s.</p></article>'
    )


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 5 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"


def _prose(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", shown(text))


def _plots(plots: Sequence[Plot], first: int) -> str:
    figures = "".join(
        f'<figure><figcaption>{shown(plot.title)}</figcaption><div class="plot" id="plot-{first + i}" role="img" '
        f'aria-label="{shown(f"{plot.y_label} against {plot.x_label}")}"></div></figure>'
        for i, plot in enumerate(plots)
    )
    return f'<div class="plots">{figures}</div>' if figures else ""


def _described(plot: Plot) -> dict[str, Any]:
    # Plotly reads names as markup, so they are escaped for it as well.
    return {
        "x_label": shown(plot.x_label),
        "y_label": shown(plot.y_label),
        "log_x": plot.log_x,
        "log_y": plot.log_y,
        "series": [_series(series) for series in plot.series],
    }


def _series(series: Series) -> dict[str, Any]:
    lines = {"x": series.x, "y": series.y, "low": series.low, "high": series.high}
    values = {name: None if line is None else [_number(value) for value in line] for name, line in lines.items()}
    return {"name": shown(series.name), "points": series.points, "reference": series.reference, **values}


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
