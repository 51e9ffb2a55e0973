"""Puts the page together: one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from string import Template
from typing import Any

from entrostat.report._differences import baseline, difference_table, differences_said
from entrostat.report._facts import Group
from entrostat.report._law_panel import law_table
from entrostat.report._load import Run
from entrostat.report._making import making
from entrostat.report._panels import Drawing, Panel
from entrostat.report._samples import samples_html
from entrostat.report._table import final_table, seed_table
from entrostat.report._text import embedded, label, listed, shown
from entrostat.report._token_view import TokenView, view_data, view_html
from entrostat.report._words import account, chip, headline, standfirst, unfinished, warnings

_SLOTS = 8
_HALVES = '<button type="button" id="halves" aria-pressed="true" title="interquartile band">middle half</button>'
_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon")
_SECTIONS = {
    "control": ("The control loop", "What the recipe measures, and how hard it pushes."),
    "learning": ("What was learned", "Reward in training, and held-out problems answered by sampling."),
    "side": ("Side effects", "Where a policy goes when its entropy is pushed or let go."),
}
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<p class="mark"><b>entrostat</b> run report</p>
<h1>$headline</h1>
$standfirst
<p class="made">$made</p>
$unfinished
</header>
<main>
<div class="drawn">
$curves
$accounts
$sections
$law
</div>
$tables
$differences
$tokens
$samples
<section class="made-of"><h2>How this was made</h2>$making</section>
</main>
<footer>Written by entrostat from the records of $count.</footer>
$scripts
</body>
</html>
""")


class Look:
    """Gives every recipe one colour, line and mark, the same all over the page."""

    def __init__(self, groups: list[Group]) -> None:
        # The neutral first colour is the baseline's; without one it stays unused.
        first = 0 if groups[0].recipe == "none" else 1
        self.index = {group.label: first + i for i, group in enumerate(groups)}

    def slot(self, group: Group) -> int:
        """Return the number of its colour."""
        return self.index[group.label] % _SLOTS

    def style(self, group: Group) -> str:
        """Return the class that sets its colour."""
        return f"r{self.slot(group)}"

    def dash(self, group: Group) -> str:
        """Return its line: past the last colour, the same colours come dashed."""
        return _DASHES[self.index[group.label] // _SLOTS % len(_DASHES)]

    def name(self, group: Group) -> str:
        """Return its label as HTML in its colour."""
        return f'<b class="name {self.style(group)}">{label(group.label)}</b>'

    def described(self, group: Group) -> dict[str, Any]:
        """Return what the script must know to draw it. Plotly reads names as markup, so they are escaped for it."""
        slot = self.slot(group)
        return {
            "name": label(group.label),
            "short": label(group.label, limit=18),
            "slot": slot,
            "dash": self.dash(group),
            "symbol": _SYMBOLS[slot],
        }


def page(
    groups: list[Group],
    drawings: list[Drawing],
    *,
    ks: list[str],
    absent: list[Panel],
    jobs: list[str],
    plotly: str,
    view: TokenView | None = None,
) -> str:
    """Return the report as HTML: `absent` are the panels without data, `jobs` the texts of the job files."""
    look = Look(groups)
    runs = [run for group in groups for run in group.runs]
    scripts = [plotly, _asset("page.js")] if drawings else []
    data = {"curves": _data(groups, drawings, look)} if drawings else {}
    if view:
        scripts.append(_asset("tokens.js"))
        data |= {"token-data": view_data(view), "token-groups": [look.described(group) for group in groups]}
    return _PAGE.substitute(
        policy=_policy(scripts),
        title=shown(headline(groups, lambda group: group.label), limit=300),
        style=_asset("page.css"),
        headline=headline(groups, look.name),
        standfirst=_standfirst(standfirst(groups, ks, look.name)),
        made=_made(groups, runs),
        unfinished=_unfinished(runs),
        curves=_legend(groups, drawings, look) + _hero(drawings, look) if drawings else "",
        accounts=_accounts(groups, ks, look),
        sections=_sections(drawings, look) + _absent(absent),
        law=_law(groups, drawings, look),
        tables=_tables(groups, ks, look),
        differences=_differences(groups, ks, look),
        tokens=view_html(view, groups, [look.style(group) for group in groups]) if view else "",
        samples=_samples(_without_tokens(groups, view), look),
        making=making(groups, jobs),
        count=_count(len(runs), "run"),
        scripts=_scripts(scripts, data),
    )


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _scripts(scripts: list[str], data: dict[str, Any]) -> str:
    held = [f'<script type="application/json" id="{name}">{embedded(value)}</script>' for name, value in data.items()]
    return "\n".join([*held, *(f"<script>{script}</script>" for script in scripts)])


def _policy(scripts: list[str]) -> str:
    # The browser runs these scripts by their hash and nothing else, and loads nothing: even text that slipped
    # through the escaping could not act.
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _standfirst(sentences: list[str]) -> str:
    if not sentences:
        return ""
    return f'<div class="standfirst">{"".join(f"<p>{sentence}</p>" for sentence in sentences)}</div>'


def _made(groups: list[Group], runs: list[Run]) -> str:
    steps = sorted({run.planned for run in runs})
    parts = [
        _count(len(groups), "recipe"),
        _count(len({run.seed for run in runs}), "seed"),
        listed([str(count) for count in steps]) + " steps",
        *sorted({shown(run.task, limit=80) for run in runs if run.task}),
        *sorted({shown(run.model, limit=80) for run in runs if run.model}),
    ]
    return " · ".join(parts)


def _unfinished(runs: list[Run]) -> str:
    sentences = unfinished(runs, lambda run: f"{label(run.label)}, seed {run.seed},")
    if not sentences:
        return ""
    items = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    text = "Not every run is finished. Last values come from finished runs where a recipe has one."
    return f'<div class="unfinished" role="note">{text}<ul>{items}</ul></div>'


def _legend(groups: list[Group], drawings: list[Drawing], look: Look) -> str:
    halves = any(line["kind"] == "half" for drawing in drawings for line in drawing.lines)
    buttons = "".join(
        f'<button type="button" class="{look.style(group)}" data-group="{i}" aria-pressed="true">'
        f'{_swatch(look.dash(group))}<span class="what">{label(group.label)}</span></button>'
        for i, group in enumerate(groups)
    )
    views = (
        '<span class="views"><button type="button" id="seeds" aria-pressed="true">every seed</button>'
        f"{_HALVES if halves else ''}"
        '<button type="button" id="reset" disabled>whole run</button></span>'
    )
    noscript = "<noscript><p>The curves are drawn by a script; their numbers stand under each title.</p></noscript>"
    return f'{noscript}<div class="legend" role="group" aria-label="Recipes shown" hidden>{buttons}{views}</div>'


def _swatch(dash: str) -> str:
    gaps = {"solid": "", "dash": ' stroke-dasharray="7 4"', "dot": ' stroke-dasharray="2 4"'}[dash]
    line = f'<line x1="1" y1="6" x2="27" y2="6" stroke="currentColor" stroke-width="3"{gaps}/>'
    return f'<svg class="swatch" viewBox="0 0 28 12" aria-hidden="true">{line}</svg>'


def _hero(drawings: list[Drawing], look: Look) -> str:
    return "".join(_figure(drawing, look, "hero") for drawing in drawings if drawing.panel.section == "entropy")


def _figure(drawing: Drawing, look: Look, style: str = "") -> str:
    panel = drawing.panel
    rank = "h2" if style == "hero" else "h3"  # the large figure is a section of its own
    unit = f" <small>{panel.unit}</small>" if panel.unit else ""
    scale = (
        f'<button type="button" class="scale" data-scale="{panel.key}" aria-pressed="{str(drawing.log).lower()}" '
        f'hidden><span class="unseen">{panel.title}: </span>log scale</button>'
        if panel.scale != "linear"
        else ""
    )
    items = "".join(
        f'<li class="{look.style(group)}"><span class="unseen">{label(group.label)} ends at </span>{value}</li>'
        for group, value in drawing.ends
    )
    ends = f'<ul class="ends" aria-label="{panel.title} at the end">{items}</ul>' if items else ""
    return (
        f'<figure class="{style}"><figcaption><{rank}>{panel.title}{unit}</{rank}>{scale}'
        f'<p class="note">{shown(panel.note)}</p>{ends}</figcaption>'
        f'<div class="plot" id="plot-{panel.key}" role="img" aria-label="{shown(drawing.described)}">'
        "</div></figure>"
    )


def _accounts(groups: list[Group], ks: list[str], look: Look) -> str:
    articles = "".join(_account(group, ks, look) for group in groups)
    return f"<section><h2>What each recipe did</h2>{articles}</section>"


def _account(group: Group, ks: list[str], look: Look) -> str:
    about = f'<p class="about">{shown(group.description, limit=400)}</p>' if group.description else ""
    alarms = "".join(f"<li>{sentence}</li>" for sentence in warnings(group))
    listing = f'<ul class="warnings" aria-label="Warnings">{alarms}</ul>' if alarms else ""
    return (
        f'<article class="account {look.style(group)}"><div><h3>{label(group.label)}</h3>'
        f'<p class="chip">{chip(group)}</p></div><div>{about}<p class="said">{" ".join(account(group, ks))}</p>'
        f"{listing}</div></article>"
    )


def _sections(drawings: list[Drawing], look: Look) -> str:
    return "".join(_section(key, drawings, look) for key in _SECTIONS)


def _section(key: str, drawings: list[Drawing], look: Look) -> str:
    figures = "".join(_figure(drawing, look) for drawing in drawings if drawing.panel.section == key)
    title, lead = _SECTIONS[key]
    body = f'<p class="lead">{lead}</p><div class="plots">{figures}</div>'
    return f"<section><h2>{title}</h2>{body}</section>" if figures else ""


def _absent(panels: list[Panel]) -> str:
    titles = listed([panel.title.lower() for panel in panels])
    return f'<p class="absent">Not on record in any run: {titles}.</p>' if titles else ""


def _tables(groups: list[Group], ks: list[str], look: Look) -> str:
    if not any(group.facts for group in groups):
        return ""
    lead = "Means over seeds with 95% intervals (a single seed has none); pass@k on test problems."
    every = f"<details><summary>Every run</summary>{seed_table(groups, ks, look.style)}</details>"
    table = final_table(groups, ks, look.style)
    return f'<section><h2>Where it ended</h2><p class="lead">{lead}</p>{table}{every}</section>'


def _law(groups: list[Group], drawings: list[Drawing], look: Look) -> str:
    figure = "".join(_figure(drawing, look, "wider") for drawing in drawings if drawing.reach is not None)
    if not figure:
        return ""
    lead = (
        "In runs without entropy control, performance and entropy tend to trade along "
        '<span class="law">R = -a e<sup>H</sup> + b</span>. The '
        "ceiling is R at H = 0: where such a run ends if it goes on as it did. A controller that holds entropy takes a "
        "run off the law; there the fit tells of the past only."
    )
    body = f'<p class="lead">{lead}</p>{figure}{law_table(groups, look.style)}'
    return f"<section><h2>What entropy bought</h2>{body}</section>"


def _differences(groups: list[Group], ks: list[str], look: Look) -> str:
    table = difference_table(groups, ks, look.style)
    if not table:
        return ""
    lead = f"{shown(differences_said(groups, ks))} Each difference is taken seed by seed, then averaged, with its 95% "
    lead += "interval; a bold one leaves out zero. Many are shown, so one in twenty would be bold by chance."
    return f'<section><h2>Against {label(baseline(groups).label)}</h2><p class="lead">{lead}</p>{table}</section>'


def _without_tokens(groups: list[Group], view: TokenView | None) -> list[Group]:
    seen = {index for index, *_ in view.runs} if view else set[int]()
    return [group for index, group in enumerate(groups) if index not in seen]


def _samples(groups: list[Group], look: Look) -> str:
    blocks = "".join(samples_html(group, look.style(group)) for group in groups)
    lead = "Completions of the last evaluation, right and wrong in turn where there are both."
    return f'<section><h2>What the models wrote</h2><p class="lead">{lead}</p>{blocks}</section>' if blocks else ""


def _data(groups: list[Group], drawings: list[Drawing], look: Look) -> dict[str, Any]:
    panels = [
        {
            "key": drawing.panel.key,
            "share": drawing.panel.share,
            "sparse": drawing.panel.sparse,
            "log": drawing.log,
            "named": drawing.panel.section == "entropy",
            "plane": drawing.reach,
            "lines": drawing.lines,
        }
        for drawing in drawings
    ]
    last = max((run.reached for group in groups for run in group.runs), default=0)
    return {"groups": [look.described(group) for group in groups], "last": max(last, 1), "panels": panels}
