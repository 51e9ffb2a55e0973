"""Entropy against performance: every run as a cloud, each recipe's law through it, and the ceiling it forecasts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from entrostat.observe.analysis.law import LEAST_POINTS, Law, NoLaw, blocked, fit_law, pairs
from entrostat.observe.analysis.statistics import Estimate, estimate
from entrostat.observe.report._drawings import Drawing, Panel
from entrostat.observe.report._groups import Group
from entrostat.observe.text import with_interval

_PLACES = 24
"""Points of a drawn law."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupLaw:
    """The laws of a recipe's runs."""

    group: Group
    performance: str
    """`accuracy` or `reward`, which they are fitted to."""
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


def group_laws(groups: Sequence[Group]) -> list[GroupLaw]:
    """Fit every run of every recipe: to the accuracy where every run was evaluated often enough, else to the reward."""
    runs = [run.curves for group in groups for run in group.runs if run.steps]
    often = bool(runs) and all(len(curves.series("accuracy")) >= LEAST_POINTS for curves in runs)
    kind = "accuracy" if often else "reward"
    made: list[GroupLaw] = []
    for group in groups:
        found = [fit_law(facts.run.curves, kind) for facts in group.final]
        fitted = [law for law in found if isinstance(law, Law)]
        refused = [law for law in found if isinstance(law, NoLaw)]
        made.append(GroupLaw(group=group, performance=kind, fitted=fitted, refused=refused))
    return made


def law_drawing(laws: Sequence[GroupLaw]) -> Drawing | None:
    """Return the plot; None where no run has performance on record."""
    kind = laws[0].performance
    clouds = [
        [point for facts in law.group.facts for point in blocked(pairs(facts.run.curves, kind)[1])] for law in laws
    ]
    if not any(clouds):
        return None
    lines: list[dict[str, Any]] = []
    for law, cloud in zip(laws, clouds, strict=True):
        lines += [_line(law.group.index, "dots", cloud)] if cloud else []
        lines += _law_lines(law)
    reach = _reach([law.group for law in laws])
    beyond = sum(h > reach for cloud in clouds for h, _ in cloud)
    off = f" {beyond} marks of exploded runs lie further right." if beyond else ""
    ceilings = [
        f"{law.group.label}: ceiling {with_interval(law.ceiling, share=kind == 'accuracy')}"
        for law in laws
        if law.fitted
    ]
    return Drawing(
        panel=Panel(
            key="law",
            title=f"Entropy against {kind}",
            note="Each mark is the mean of a stretch of one run; the line is the law, dotted where it is a forecast, "
            f"with the ceiling and its 95% interval at zero entropy.{off}",
            section="law",
            share=kind == "accuracy",
        ),
        lines=lines,
        described=f"{kind.capitalize()} over entropy with the law R = -a e^H + b. "
        f"{'; '.join(ceilings) or 'No law fits'}.",
        reach=reach,
    )


def _reach(groups: Sequence[Group]) -> float:
    # A run that exploded would push all others into a corner.
    known = [facts for group in groups for facts in group.facts]
    calm = [facts for facts in known if all(alarm.kind != "exploded" for alarm in facts.alarms)] or known
    return 1.05 * max((h for facts in calm for _, h in facts.run.series("entropy")), default=1.0)


def _law_lines(law: GroupLaw) -> list[dict[str, Any]]:
    index, ceiling = law.group.index, law.ceiling
    if ceiling is None:
        return []

    def curve(low: float, high: float) -> list[tuple[float, float]]:
        places = [low + (high - low) * i / _PLACES for i in range(_PLACES + 1)]
        return [(h, law.at(h)) for h in places]

    low = min(one.entropy_low for one in law.fitted)
    high = max(one.entropy_high for one in law.fitted)
    return [
        _line(index, "law", curve(low, high)),
        _line(index, "forecast", curve(0.0, low)),
        {**_line(index, "ceiling", [(0.0, ceiling.mean)]), "half": [float(f"{ceiling.half or 0.0:.4g}")]},
    ]


def _line(index: int, kind: str, points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    xs, ys = ([float(f"{point[axis]:.4g}") for point in points] for axis in (0, 1))
    return {"g": index, "kind": kind, "x": xs, "y": ys}
