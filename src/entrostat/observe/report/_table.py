"""The tables of a report: last values per recipe over seeds, and the same seed by seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from entrostat.observe.analysis.statistics import Estimate, estimate
from entrostat.observe.report._facts import Facts, Group, start_model
from entrostat.observe.report._load import Run
from entrostat.observe.report._text import ABSENT, PLUS_MINUS, duration, label, number, percent, with_interval


@dataclasses.dataclass(frozen=True)
class Column:
    """One quantity."""

    title: str
    value: Callable[[Facts], float | None]
    form: str = "number"
    """`number`, `share` or `time`."""


def columns(ks: list[str]) -> list[Column]:
    """Return the quantities in reading order."""
    return [
        *(Column(f"pass@{k}", _pass_at(k), "share") for k in ks),
        Column("Entropy, nats", lambda facts: facts.entropy),
        Column("Clamped entropy, nats", lambda facts: facts.clamped_entropy),
        Column("Kept mass", lambda facts: facts.kept_mass, "share"),
        Column("Useless mass, worst", lambda facts: facts.useless_peak, "share"),
        Column("Useless mass", lambda facts: facts.useless_mass, "share"),
        Column("Reward", lambda facts: facts.reward),
        Column("Silent groups", lambda facts: facts.silent_groups, "share"),
        Column("Time", lambda facts: facts.run.wall_seconds, "time"),
    ]


def _pass_at(k: str) -> Callable[[Facts], float | None]:
    return lambda facts: facts.pass_end.get(k)


def final_table(groups: list[Group], ks: list[str], style: Callable[[Group], str]) -> str:
    """Return the table of last values: one row per recipe, and the start model's."""
    shown_columns = columns(ks)
    rows = [_start_row([run for group in groups for run in group.runs], ks, len(shown_columns))]
    for group in groups:
        cells = [_cell(estimate(map(column.value, group.final)), column.form) for column in shown_columns]
        rows.append(row(label(group.label), cells, style(group)))
    return table("Last values, means over seeds with 95% intervals", ["Recipe", *_titles(shown_columns)], rows)


def seed_table(groups: list[Group], ks: list[str], style: Callable[[Group], str]) -> str:
    """Return every run's own values, finished or not."""
    shown_columns = columns(ks)
    rows = [
        row(
            f"{label(group.label)}, seed {facts.run.seed}",
            [f"<td>{_plain(column.value(facts), column.form)}</td>" for column in shown_columns],
            style(group),
        )
        for group in groups
        for facts in group.facts
    ]
    return table("Last values of every run", ["Run", *_titles(shown_columns)], rows)


def _titles(shown_columns: list[Column]) -> list[str]:
    return [column.title for column in shown_columns]


def _start_row(runs: list[Run], ks: list[str], width: int) -> str:
    cells = [_cell(start_model(runs, k), "share") for k in ks]
    return row("start model", cells + [f"<td>{ABSENT}</td>"] * (width - len(ks)), "")


def _cell(found: Estimate | None, form: str) -> str:
    if form == "time":
        return f"<td>{duration(found.mean if found else None)}</td>"
    middle, sign, half = with_interval(found, share=form == "share").removesuffix("%").partition(PLUS_MINUS)
    unit = "%" if form == "share" and found else ""
    return f"<td>{middle}{unit}{f' <small>{sign.strip()} {half}</small>' if half else ''}</td>"


def _plain(value: float | None, form: str) -> str:
    return {"number": number, "share": percent, "time": duration}[form](value)


def row(head: str, cells: list[str], style: str) -> str:
    return f'<tr class="{style}"><th scope="row">{head}</th>{"".join(cells)}</tr>'


def table(caption: str, titles: list[str], rows: list[str]) -> str:
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{caption}"><table>'
        f'<caption class="unseen">{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
