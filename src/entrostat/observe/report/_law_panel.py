"""Entropy against performance: every run as a cloud, each recipe's law through it, and the ceiling it forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from entrostat.observe.analysis.law import LEAST_POINTS, Law, NoLaw, blocked, fit_law, pairs
from entrostat.observe.analysis.statistics import Estimate, estimate
from entrostat.observe.report._drawings import Drawing
from entrostat.observe.report._facts import Group
from entrostat.observe.report._panels import Panel
from entrostat.observe.report._table import row, table
from entrostat.observe.report._text import label, number, percent, shown, with_interval

_PLACES = 24
"""Points of a drawn law."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupLaw:
    """The laws of a recipe's runs."""

    fitted: list[Law]
    refused: list[NoLaw]

    def at(self, entropy: float) -> float:
        """Return the mean over the fitted seeds."""
        return sum(law.at(entropy) for law in self.fitted) / len(self.fitted)

    @property
    def ceiling(self) -> Estimate | None:
        """The ceiling over seeds; of a single seed, with the fit's own interval."""
        if len(self.fitted) == 1:
            return Estimate(self.fitted[0].ceiling, self.fitted[0].half, 1)
        return estimate(law.ceiling for law in self.fitted)


def performance(groups: list[Group]) -> str:
    """Return what all runs are judged by: accuracy where every run was evaluated often enough, else the reward."""
    runs = [run.curves for group in groups for run in group.runs if run.steps]
    often = bool(runs) and all(len(curves.series("accuracy")) >= LEAST_POINTS for curves in runs)
    return "accuracy" if often else "reward"


def group_law(group: Group, kind: str) -> GroupLaw:
    """Fit every run of a recipe."""
    found = [fit_law(facts.run.curves, kind) for facts in group.final]
    return GroupLaw(
        fitted=[law for law in found if isinstance(law, Law)], refused=[law for law in found if isinstance(law, NoLaw)]
    )


def law_drawings(groups: list[Group]) -> list[Drawing]:
    """Return the plot, or nothing where no run has performance on record."""
    kind = performance(groups)
    clouds = [_cloud(group, kind) for group in groups]
    if not any(clouds):
        return []
    laws = [group_law(group, kind) for group in groups]
    lines: list[dict[str, Any]] = []
    for index, (cloud, law) in enumerate(zip(clouds, laws, strict=True)):
        lines += [_line(index, "dots", cloud)] if cloud else []
        lines += _law_lines(index, law)
    reach = _reach(groups)
    beyond = sum(h > reach for cloud in clouds for h, _ in cloud)
    off = f" {beyond} marks of exploded runs lie further right." if beyond else ""
    panel = Panel(
        key="law",
        title=f"Entropy against {kind}",
        note="Each mark is the mean of a stretch of one run; the line is the law, dotted where it is a forecast, with "
        f"the ceiling and its 95% interval at zero entropy.{off}",
        section="law",
        series=lambda _: [],
        share=kind == "accuracy",
    )
    return [
        Drawing(panel=panel, lines=lines, log=False, ends=[], described=_described(groups, laws, kind), reach=reach)
    ]


def _reach(groups: list[Group]) -> float:
    # A run that exploded would push all others into a corner.
    known = [facts for group in groups for facts in group.facts]
    calm = [facts for facts in known if all(alarm.kind != "exploded" for alarm in facts.alarms)] or known
    return 1.05 * max((h for facts in calm for _, h in facts.run.series("entropy")), default=1.0)


def _cloud(group: Group, kind: str) -> list[tuple[float, float]]:
    return [point for facts in group.facts for point in blocked(pairs(facts.run.curves, kind)[1])]


def _law_lines(index: int, law: GroupLaw) -> list[dict[str, Any]]:
    ceiling = law.ceiling
    if ceiling is None:
        return []
    low = min(one.entropy_low for one in law.fitted)
    high = max(one.entropy_high for one in law.fitted)
    half = [float(f"{ceiling.half or 0.0:.4g}")]
    return [
        _line(index, "law", _curve(law, low, high)),
        _line(index, "forecast", _curve(law, 0.0, low)),
        {**_line(index, "ceiling", [(0.0, ceiling.mean)]), "half": half},
    ]


def _curve(law: GroupLaw, low: float, high: float) -> list[tuple[float, float]]:
    places = [low + (high - low) * i / _PLACES for i in range(_PLACES + 1)]
    return [(h, law.at(h)) for h in places]


def _line(index: int, kind: str, points: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "g": index,
        "kind": kind,
        "x": [float(f"{x:.4g}") for x, _ in points],
        "y": [float(f"{y:.4g}") for _, y in points],
    }


def _described(groups: list[Group], laws: list[GroupLaw], kind: str) -> str:
    parts = [
        f"{group.label}: ceiling {with_interval(law.ceiling, share=kind == 'accuracy')}"
        for group, law in zip(groups, laws, strict=True)
        if law.fitted
    ]
    return f"{kind.capitalize()} over entropy with the law R = -a e^H + b. {'; '.join(parts) or 'No law fits'}."


def law_table(groups: list[Group], style: Callable[[Group], str]) -> str:
    """Return the table of the fits: numbers where there is one, the reason where there is none."""
    kind = performance(groups)
    titles = ["Recipe", "a", "b", f"Ceiling of the {kind}", "Variance explained", "Seeds fitted"]
    rows = [
        row(label(group.label), _cells(law, share=kind == "accuracy"), style(group))
        for group in groups
        if (law := group_law(group, kind)).fitted or law.refused
    ]
    return table("The fitted law of each recipe", titles, rows)


def _cells(law: GroupLaw, *, share: bool) -> list[str]:
    tried = len(law.fitted) + len(law.refused)
    if not law.fitted:
        return [
            f'<td colspan="4" class="why">not fitted: {shown(law.refused[0].reason)}</td>',
            f"<td>0 of {tried}</td>",
        ]
    a, b = (sum(getattr(one, name) for one in law.fitted) / len(law.fitted) for name in ("a", "b"))
    explained = sum(one.explained for one in law.fitted) / len(law.fitted)
    values = [number(a), number(b), with_interval(law.ceiling, share=share), percent(explained)]
    return [*(f"<td>{value}</td>" for value in values), f"<td>{len(law.fitted)} of {tried}</td>"]
