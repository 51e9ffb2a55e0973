"""The tables of a report as plain values: last values over seeds and seed by seed, differences, laws, settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from entrostat.observe.analysis.statistics import Estimate, estimate
from entrostat.observe.report._groups import Facts, Group, baseline, clear, compared, paired, start_model
from entrostat.observe.report._law import GroupLaw
from entrostat.observe.text import (
    ABSENT,
    PLUS_MINUS,
    duration,
    label,
    number,
    percent,
    signed,
    visible,
    with_interval,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """One quantity of the tables."""

    title: str
    value: Callable[[Facts], float | None]
    form: str = "number"
    """`number`, `share` or `time`."""
    differs: bool = True
    """Whether the table of differences shows it too."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """One place of a table."""

    text: str
    half: str = ""
    """Half-width of its interval."""
    clear: bool = False
    """Whether it is a difference whose interval leaves out zero."""
    span: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    head: str
    cells: list[Cell]
    color: int | None = None
    """Of its recipe."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One table."""

    caption: str
    titles: list[str]
    rows: list[Row]


def columns(ks: Sequence[str]) -> list[Column]:
    """Return the quantities in reading order."""
    return [
        *(Column(title=f"pass@{k}", value=lambda facts, k=k: facts.pass_end.get(k), form="share") for k in ks),
        Column(title="Entropy, nats", value=lambda facts: facts.entropy),
        Column(title="Clamped entropy, nats", value=lambda facts: facts.clamped_entropy),
        Column(title="Kept mass", value=lambda facts: facts.kept_mass, form="share", differs=False),
        Column(title="Useless mass, worst", value=lambda facts: facts.useless_peak, form="share", differs=False),
        Column(title="Useless mass", value=lambda facts: facts.useless_mass, form="share"),
        Column(title="Reward", value=lambda facts: facts.reward),
        Column(title="Silent groups", value=lambda facts: facts.silent_groups, form="share"),
        Column(title="Time", value=lambda facts: facts.run.wall_seconds, form="time", differs=False),
    ]


def final_table(groups: Sequence[Group], ks: Sequence[str]) -> Table:
    """Return the last values: one row per recipe, and the start model's."""
    shown = columns(ks)
    runs = [run for group in groups for run in group.runs]
    start = [_mean_cell(start_model(runs, k), "share") for k in ks] + [Cell(text=ABSENT)] * (len(shown) - len(ks))
    rows = [
        Row(
            head=label(group.label),
            cells=[_mean_cell(estimate(map(column.value, group.final)), column.form) for column in shown],
            color=group.color,
        )
        for group in groups
    ]
    return Table(
        caption="Last values, means over seeds with 95% intervals",
        titles=["Recipe", *(column.title for column in shown)],
        rows=[Row(head="start model", cells=start), *rows],
    )


def _mean_cell(found: Estimate | None, form: str) -> Cell:
    if form == "time":
        return Cell(text=duration(found.mean if found else None))
    middle, _, half = with_interval(found, share=form == "share").removesuffix("%").partition(PLUS_MINUS)
    return Cell(text=middle + ("%" if form == "share" and found else ""), half=half)


def seed_table(groups: Sequence[Group], ks: Sequence[str]) -> Table:
    """Return every run's own values, finished or not."""
    shown = columns(ks)
    write: dict[str, Callable[[float | None], str]] = {"number": number, "share": percent, "time": duration}
    rows = [
        Row(
            head=f"{label(group.label)}, seed {facts.run.seed}",
            cells=[Cell(text=write[column.form](column.value(facts))) for column in shown],
            color=group.color,
        )
        for group in groups
        for facts in group.facts
    ]
    return Table(caption="Last values of every run", titles=["Run", *(column.title for column in shown)], rows=rows)


def difference_table(groups: Sequence[Group], ks: Sequence[str]) -> Table:
    """Return the differences to the baseline on the same seeds."""
    base, shown = baseline(groups), [column for column in columns(ks) if column.differs]

    def cell(group: Group, column: Column) -> Cell:
        found = paired(group, base, column.value)
        if found is None:
            return Cell(text=ABSENT)
        middle, _, half = signed(found, share=column.form == "share").partition(PLUS_MINUS)
        return Cell(text=middle, half=half, clear=clear(found))

    def seeds(group: Group) -> set[int]:
        return {facts.run.seed for facts in group.final}

    return Table(
        caption=f"Differences to {label(base.label)} on the same seeds, with 95% intervals",
        titles=["Recipe", "Seeds", *(column.title for column in shown)],
        rows=[
            Row(
                head=label(group.label),
                cells=[Cell(text=str(len(seeds(base) & seeds(group)))), *(cell(group, column) for column in shown)],
                color=group.color,
            )
            for group in compared(groups)
        ],
    )


def law_table(laws: Sequence[GroupLaw]) -> Table:
    """Return the fits of the entropy-performance law: numbers where there is one, the reason where there is none."""
    titles = ["Recipe", "a", "b", f"Ceiling of the {laws[0].performance}", "Variance explained", "Seeds fitted"]
    return Table(
        caption="The fitted law of each recipe",
        titles=titles,
        rows=[
            Row(head=label(law.group.label), cells=_law_cells(law), color=law.group.color)
            for law in laws
            if law.fitted or law.refused
        ],
    )


def _law_cells(law: GroupLaw) -> list[Cell]:
    count = len(law.fitted)
    seeds = Cell(text=f"{count} of {count + len(law.refused)}")
    if not law.fitted:
        return [Cell(text=f"not fitted: {law.refused[0].reason}", span=4), seeds]
    a, b, explained = (sum(getattr(one, name) for one in law.fitted) / count for name in ("a", "b", "explained"))
    values = [number(a), number(b), with_interval(law.ceiling, share=law.performance == "accuracy"), percent(explained)]
    return [*(Cell(text=value) for value in values), seeds]


def settings_table(groups: Sequence[Group]) -> Table:
    """Return the settings of the recipes, one row each, however deep they are nested."""
    flat = [dict(_flat(group.runs[0].parameters)) for group in groups]
    return Table(
        caption="Settings of the recipes",
        titles=["Setting", *(label(group.label) for group in groups)],
        rows=[
            Row(
                head=visible(name, limit=100),
                cells=[Cell(text=visible(settings.get(name, ABSENT), limit=300)) for settings in flat],
            )
            for name in dict.fromkeys(name for settings in flat for name in settings)
        ],
    )


def _flat(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, value if isinstance(value, str) else json.dumps(value)))
    return pairs
