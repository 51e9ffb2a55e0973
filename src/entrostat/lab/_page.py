"""Writes the outcomes of claims as one HTML page that needs nothing but itself."""

from __future__ import annotations

import dataclasses
import html
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrostat.lab._claim import Checked, figure_text
from entrostat.observe.html import PLOTS, THEME, asset, plotly_script, render
from entrostat.observe.html import write_page as write
from entrostat.observe.text import visible

if TYPE_CHECKING:
    from markupsafe import Markup

_HERE = Path(__file__).parent
_TOPICS = {"theory": "Theory", "toy": "The toy figure", "classical": "Classical methods"}
_STYLES = {"holds": "holds", "does not hold": "fails", "not tested": "untested"}


def write_page(checked: Sequence[Checked], out: Path) -> Path:
    """Write a self-contained page with every verdict, figure and plot.

    Args:
        checked: from `run_claims`.
        out: the file to write; its directory is made if need be.

    Returns:
        `out`.

    Raises:
        ImportError: plotly, whose script the page carries, or jinja2 is not installed.
    """
    counts = {word: sum(one.outcome.verdict == word for one in checked) for word in _STYLES}
    said = [f"{counts['holds']} of {len(checked)} claims hold"]
    said += [f"{count} {word}" for word, count in counts.items() if count and word != "holds"]
    plots = [plot for one in checked for plot in one.outcome.plots]
    starts = itertools.accumulate((len(one.outcome.plots) for one in checked), initial=0)
    page = render(
        _HERE / "page.html.j2",
        styles=[THEME, _HERE / "page.css"],
        scripts=[plotly_script(), asset(PLOTS), asset(_HERE / "page.js")],
        data={"plots": [_plain(dataclasses.asdict(plot)) for plot in plots]},
        headline="; ".join(said) + ".",
        numbered=list(zip(checked, starts, strict=False)),
        topics=_TOPICS,
        styles_of=_STYLES,
        figure_text=figure_text,
        prose=_prose,
        seeds=_seeds,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    return write(page, out)


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 5 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"


def _prose(text: str) -> Markup:
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(visible(text)))))


def _plain(value: Any) -> Any:
    # JSON has no infinity, and Plotly reads names as markup, so they are escaped for it as well.
    if isinstance(value, str):
        return html.escape(visible(value))
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, Iterable) else value
