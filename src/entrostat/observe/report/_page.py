"""Puts the page together: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from entrostat.observe.report._differences import baseline, difference_table, differences_said
from entrostat.observe.report._drawings import Drawing
from entrostat.observe.report._facts import Group
from entrostat.observe.report._figures import curve_data, hero, law, sections
from entrostat.observe.report._headline import chip, headline
from entrostat.observe.report._load import Run
from entrostat.observe.report._look import Look
from entrostat.observe.report._making import making
from entrostat.observe.report._panels import Panel
from entrostat.observe.report._samples import samples_html
from entrostat.observe.report._scripts import asset, chosen_scripts, embedding, policy
from entrostat.observe.report._standfirst import standfirst
from entrostat.observe.report._table import final_table, seed_table
from entrostat.observe.report._text import label, listed, shown
from entrostat.observe.report._token_view import TokenView, view_data, view_html
from entrostat.observe.report._words import account, unfinished, warnings

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
<noscript><style>.legend, .scale { display: none; }</style></noscript>
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


def page(
    groups: list[Group],
    drawings: list[Drawing],
    *,
    ks: list[str],
    absent: list[Panel],
    jobs: list[str],
    plotly: str,
    view: TokenView | None = None,
    more: Sequence[str] = (),
) -> str:
    """Return the report as HTML.

    `absent` are the panels without data, `jobs` the texts of the job files, `more` scripts to run after the page's own.
    """
    look = Look(groups)
    runs = [run for group in groups for run in group.runs]
    scripts = [*chosen_scripts(plotly, curves=bool(drawings), tokens=view is not None), *more]
    data = {"curves": curve_data(groups, drawings, look)} if drawings else {}
    if view:
        data |= {"token-data": view_data(view), "token-groups": [look.described(group) for group in groups]}
    return _PAGE.substitute(
        policy=policy(scripts),
        title=shown(headline(groups, lambda group: group.label), limit=300),
        style=asset("page.css"),
        headline=headline(groups, look.name),
        standfirst=_standfirst(standfirst(groups, ks, look.name)),
        made=_made(groups, runs),
        unfinished=_unfinished(runs),
        curves=hero(groups, drawings, look),
        accounts=_accounts(groups, ks, look),
        sections=sections(drawings, absent, look),
        law=law(groups, drawings, look),
        tables=_tables(groups, ks, look),
        differences=_differences(groups, ks, look),
        tokens=view_html(view, groups, [look.style(group) for group in groups]) if view else "",
        samples=_samples(_without_tokens(groups, view), look),
        making=making(groups, jobs),
        count=_count(len(runs), "run"),
        scripts=embedding(scripts, data),
    )


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


def _tables(groups: list[Group], ks: list[str], look: Look) -> str:
    if not any(group.facts for group in groups):
        return ""
    lead = "Means over seeds with 95% intervals (a single seed has none); pass@k on test problems."
    every = f"<details><summary>Every run</summary>{seed_table(groups, ks, look.style)}</details>"
    table = final_table(groups, ks, look.style)
    return f'<section><h2>Where it ended</h2><p class="lead">{lead}</p>{table}{every}</section>'


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
