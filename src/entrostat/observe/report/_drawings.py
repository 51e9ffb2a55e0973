"""The lines of every panel: seeds, their median and middle half, bands; how they end, and the plot in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from entrostat.observe.analysis.statistics import medians, quartiles, smoothed
from entrostat.observe.report._facts import Group
from entrostat.observe.report._lines import Point, outline, packed, thinned
from entrostat.observe.report._panels import Panel
from entrostat.observe.report._text import number, percent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """A panel with its data."""

    panel: Panel
    lines: list[dict[str, Any]]
    log: bool
    ends: list[tuple[int, Group, str]]
    """Each recipe's number, itself, and its last value as text."""
    described: str
    """The whole plot in a sentence, for those who do not see it."""
    reach: float | None = None
    """Where the horizontal axis ends if it is entropy and no step."""


def drawings(groups: list[Group], chosen: list[Panel], budget: int = 130_000) -> list[Drawing]:
    """Return every panel that has data. `budget` bounds the points of all lines together."""
    runs = sum(len(group.runs) for group in groups)
    limit = max(200, min(1500, budget // max(1, len(chosen) * (runs + 3 * len(groups)))))
    made = (_drawing(panel, groups, limit) for panel in chosen)
    return [drawing for drawing in made if drawing is not None]


def _drawing(panel: Panel, groups: list[Group], limit: int) -> Drawing | None:
    curves = [[points for run in group.runs if (points := panel.series(run))] for group in groups]
    middles = [medians(seeds) for seeds in curves]
    if not any(middles):
        return None
    lines: list[dict[str, Any]] = []
    for index, (group, seeds, middle) in enumerate(zip(groups, curves, middles, strict=True)):
        if middle:
            lines += _group_lines(panel, index, group, seeds, middle, limit)
    named = [
        (index, group, middle) for index, (group, middle) in enumerate(zip(groups, middles, strict=True)) if middle
    ]
    spans = [(group, middle) for _, group, middle in named]
    return Drawing(
        panel=panel,
        lines=lines,
        log=panel.scale == "log" or (panel.scale == "auto" and _far_apart(middles)),
        ends=[(i, groups[i], _value(panel, _last(panel, middle))) for i, middle in enumerate(middles) if middle],
        described=_described(panel, spans),
    )


def _group_lines(
    panel: Panel, index: int, group: Group, seeds: list[list[Point]], middle: list[Point], limit: int
) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    if panel.band and (edges := _band(group)):
        lines.append({"g": index, "kind": "band", **packed(edges)})
    if edges := _middle_half(panel, seeds, limit):
        lines.append({"g": index, "kind": "half", **packed(edges)})
    lines += [{"g": index, "kind": "seed", **packed(thinned(points, limit))} for points in seeds]
    lines.append({"g": index, "kind": "median", **packed(thinned(_calm(panel, middle), limit))})
    return lines


def _band(group: Group) -> list[Point]:
    # Relative bands differ by seed: the strip has the median edges, as the bold line is the median curve.
    low = medians(run.series("band_low") for run in group.runs)
    high = medians(run.series("band_high") for run in group.runs)
    return outline(low, high) if low and high else []


def _middle_half(panel: Panel, seeds: list[list[Point]], limit: int) -> list[Point]:
    # Smoothed as the median is, or the bold line would leave it.
    found = quartiles(seeds)
    low = thinned(_calm(panel, [(step, low) for step, low, _ in found]), limit)
    high = thinned(_calm(panel, [(step, high) for step, _, high in found]), limit)
    return [*low, *reversed(high)]


def window(length: int) -> int:
    """Return over how many steps the bold line of a panel is smoothed; the raw lines stay visible under it."""
    return 2 * min(length // 60, 10) + 1


def _calm(panel: Panel, middle: list[Point]) -> list[Point]:
    if panel.sparse:
        return middle
    values = smoothed([value for _, value in middle], window(len(middle)))
    return [(step, value) for (step, _), value in zip(middle, values, strict=True)]


def _far_apart(middles: list[list[Point]]) -> bool:
    values = [value for middle in middles for _, value in middle if value > 0]
    return bool(values) and max(values) / min(values) > 20


def _last(panel: Panel, middle: list[Point]) -> float:
    recent = middle[-1:] if panel.sparse else middle[-min(20, (len(middle) + 1) // 2) :]
    return sum(value for _, value in recent) / len(recent)


def _value(panel: Panel, value: float) -> str:
    return percent(value) if panel.share else number(value)


def _described(panel: Panel, spans: list[tuple[Group, list[Point]]]) -> str:
    parts = [
        f"{group.label}: starts at {_value(panel, middle[0][1])}, ends at {_value(panel, _last(panel, middle))}, "
        f"between {_value(panel, min(y for _, y in middle))} and {_value(panel, max(y for _, y in middle))}"
        for group, middle in spans
    ]
    steps = max(math.floor(middle[-1][0]) for _, middle in spans)
    unit = f" in {panel.unit}" if panel.unit else ""
    return f"{panel.title}{unit} over {steps} steps. {'; '.join(parts)}."
