"""The tables of a report as plain values: last values over seeds and seed by seed, differences, laws, settings."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


class Column(NamedTuple):
    """One quantity of the tables."""

    title: str
    value: Callable[[Facts], float | None]
    form: str = "number"
    """`number`, `share` or `time`."""
    differs: bool = True
    """Whether the table of differences shows it too."""


class Cell(NamedTuple):
    """One place of a table."""

    text: str
    half: str = ""
    """Half-width of its interval."""
    clear: bool = False
    """Whether it is a difference whose interval leaves out zero."""
    span: int = 1


class Row(NamedTuple):
    """One line of a table."""

    head: str
    cells: list[Cell]
    style: str = ""
    """Class that sets the colour of its recipe."""


class Table(NamedTuple):
    """One table."""

    caption: str
    titles: list[str]
    rows: list[Row]


def columns(ks: Sequence[str]) -> list[Column]:
    """Return the quantities in reading order."""
    return [
        *(Column(f"pass@{k}", _passed(k), form="share") for k in ks),
        _column("Entropy, nats", "entropy"),
        _column("Clamped entropy, nats", "clamped_entropy"),
        _column("Kept mass", "kept_mass", form="share", differs=False),
        _column("Useless mass, worst", "useless_peak", form="share", differs=False),
        _column("Useless mass", "useless_mass", form="share"),
        _column("Reward", "reward"),
        _column("Silent groups", "silent_groups", form="share"),
        _column("Time", "run.wall_seconds", form="time", differs=False),
    ]


def _passed(k: str) -> Callable[[Facts], float | None]:
    return lambda facts: facts.pass_end.get(k)


def _column(title: str, name: str, **settings: Any) -> Column:
    return Column(title, operator.attrgetter(name), **settings)


def final_table(groups: Sequence[Group], ks: Sequence[str]) -> Table:
    """Return the last values: one row per recipe, and the start model's."""
    shown = columns(ks)
    runs = [run for group in groups for run in group.runs]
    start = [_mean_cell(start_model(runs, k), "share") for k in ks] + [Cell(ABSENT)] * (len(shown) - len(ks))
    rows = [
        Row(
            label(group.label),
            [_mean_cell(estimate(map(column.value, group.final)), column.form) for column in shown],
            group.style,
        )
        for group in groups
    ]
    return Table(
        "Last values, means over seeds with 95% intervals",
        ["Recipe", *(column.title for column in shown)],
        [Row("start model", start), *rows],
    )


def _mean_cell(found: Estimate | None, form: str) -> Cell:
    if form == "time":
        return Cell(duration(found.mean if found else None))
    middle, _, half = with_interval(found, share=form == "share").removesuffix("%").partition(PLUS_MINUS)
    return Cell(middle + ("%" if form == "share" and found else ""), half=half)


def seed_table(groups: Sequence[Group], ks: Sequence[str]) -> Table:
    """Return every run's own values, finished or not."""
    shown = columns(ks)
    write: dict[str, Callable[[float | None], str]] = {"number": number, "share": percent, "time": duration}
    rows = [
        Row(
            f"{label(group.label)}, seed {facts.run.seed}",
            [Cell(write[column.form](column.value(facts))) for column in shown],
            group.style,
        )
        for group in groups
        for facts in group.facts
    ]
    return Table("Last values of every run", ["Run", *(column.title for column in shown)], rows)


def difference_table(groups: Sequence[Group], ks: Sequence[str]) -> Table:
    """Return the differences to the baseline on the same seeds."""
    base, shown = baseline(groups), [column for column in columns(ks) if column.differs]

    def cell(group: Group, column: Column) -> Cell:
        found = paired(group, base, column.value)
        if found is None:
            return Cell(ABSENT)
        middle, _, half = signed(found, share=column.form == "share").partition(PLUS_MINUS)
        return Cell(middle, half=half, clear=clear(found))

    def seeds(group: Group) -> set[int]:
        return {facts.run.seed for facts in group.final}

    return Table(
        f"Differences to {label(base.label)} on the same seeds, with 95% intervals",
        ["Recipe", "Seeds", *(column.title for column in shown)],
        [
            Row(
                label(group.label),
                [Cell(str(len(seeds(base) & seeds(group)))), *(cell(group, column) for column in shown)],
                group.style,
            )
            for group in compared(groups)
        ],
    )


def law_table(laws: Sequence[GroupLaw]) -> Table:
    """Return the fits of the entropy-performance law: numbers where there is one, the reason where there is none."""
    titles = ["Recipe", "a", "b", f"Ceiling of the {laws[0].performance}", "Variance explained", "Seeds fitted"]
    return Table(
        "The fitted law of each recipe",
        titles,
        [Row(label(law.group.label), _law_cells(law), law.group.style) for law in laws if law.fitted or law.refused],
    )


def _law_cells(law: GroupLaw) -> list[Cell]:
    count = len(law.fitted)
    seeds = Cell(f"{count} of {count + len(law.refused)}")
    if not law.fitted:
        return [Cell(f"not fitted: {law.refused[0].reason}", span=4), seeds]
    a, b, explained = (sum(getattr(one, name) for one in law.fitted) / count for name in ("a", "b", "explained"))
    values = [number(a), number(b), with_interval(law.ceiling, share=law.performance == "accuracy"), percent(explained)]
    return [*(Cell(value) for value in values), seeds]


def settings_table(groups: Sequence[Group]) -> Table:
    """Return the settings of the recipes, one row each, however deep they are nested."""
    flat = [dict(_flat(group.runs[0].parameters)) for group in groups]
    return Table(
        "Settings of the recipes",
        ["Setting", *(label(group.label) for group in groups)],
        [
            Row(
                visible(name, limit=100),
                [Cell(visible(settings.get(name, ABSENT), limit=300)) for settings in flat],
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
