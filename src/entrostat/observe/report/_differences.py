"""Differences to the baseline on the same seeds: pairing takes out what a seed does to every recipe alike."""

from __future__ import annotations

from collections.abc import Callable

from entrostat.observe.analysis.statistics import Estimate, estimate
from entrostat.observe.report._facts import Facts, Group
from entrostat.observe.report._table import Column, columns, row, table
from entrostat.observe.report._text import ABSENT, PLUS_MINUS, label, listed, with_interval

_LEFT_OUT = ("Time", "Useless mass, worst", "Kept mass")


def baseline(groups: list[Group]) -> Group:
    """Return the recipe all others are compared with: the first without entropy control, if there is one."""
    return next((group for group in groups if group.recipe == "none"), groups[0])


def paired(group: Group, base: Group, value: Callable[[Facts], float | None]) -> Estimate | None:
    """Return the mean difference over the seeds that both have, with its interval; None without such a seed.

    Formula:
        d_s = value(group, seed s) - value(base, seed s)        mean d ± t(0.975; n - 1) s_d / sqrt(n)
    """
    there = {facts.run.seed: value(facts) for facts in base.final}
    both = [(value(facts), there.get(facts.run.seed)) for facts in group.final]
    return estimate(here - other for here, other in both if here is not None and other is not None)


def difference_table(groups: list[Group], ks: list[str], style: Callable[[Group], str]) -> str:
    """Return the table, one row per recipe that shares a finished seed with the baseline; empty without any."""
    chosen = [column for column in columns(ks) if column.title not in _LEFT_OUT]
    found = [(group, _row(group, baseline(groups), chosen)) for group in _others(groups)]
    rows = [row(label(group.label), cells, style(group)) for group, cells in found]
    if not rows:
        return ""
    caption = f"Differences to {label(baseline(groups).label)} on the same seeds, with 95% intervals"
    return table(caption, ["Recipe", "Seeds", *(column.title for column in chosen)], rows)


def _others(groups: list[Group]) -> list[Group]:
    if not groups or baseline(groups).recipe != "none":
        return []
    seeds = {facts.run.seed for facts in baseline(groups).final}
    others = [group for group in groups if group is not baseline(groups)]
    return [group for group in others if any(facts.run.seed in seeds for facts in group.final)]


def _row(group: Group, base: Group, chosen: list[Column]) -> list[str]:
    seeds = {facts.run.seed for facts in base.final} & {facts.run.seed for facts in group.final}
    cells = [_cell(paired(group, base, column.value), share=column.form == "share") for column in chosen]
    return [f"<td>{len(seeds)}</td>", *cells]


def _cell(found: Estimate | None, *, share: bool) -> str:
    if found is None:
        return f"<td>{ABSENT}</td>"
    middle, sign, half = signed(found, share=share).partition(PLUS_MINUS)
    style = ' class="clear"' if clear(found) else ""
    return f"<td{style}>{middle}{f' <small>{sign.strip()} {half}</small>' if half else ''}</td>"


def clear(found: Estimate) -> bool:
    """Return whether the interval leaves out zero; one seed is never clear."""
    return found.half is not None and not found.low <= 0 <= found.high


def signed(found: Estimate, *, share: bool) -> str:
    """Return a difference with its sign; of shares, in percentage points.

    Example:
        >>> signed(Estimate(0.031, None, 1), share=True), signed(Estimate(-0.2, None, 1), share=False)
        ('+3.1', '−0.200')
    """
    text = with_interval(found, share=share).removesuffix("%")
    return f"+{text}" if found.mean > 0 else text.replace("-", "\N{MINUS SIGN}", 1)


def differences_said(groups: list[Group], ks: list[str]) -> str:
    """Return in a sentence which pass@k differ clearly from the baseline's."""
    base = baseline(groups)
    found = [
        (column, group, difference)
        for column in columns(ks)[: len(ks)]
        for group in _others(groups)
        if (difference := paired(group, base, column.value)) is not None
    ]
    if not found:
        return "No pass@k is on record for the same seeds."
    told = [
        f"{column.title} of {group.label} by {signed(difference, share=True)} points"
        for column, group, difference in found
        if clear(difference)
    ]
    if not told:
        return f"No pass@k differs clearly from that of {base.label}."
    return f"Clearly apart from {base.label}: {listed(told, most=6)}."
