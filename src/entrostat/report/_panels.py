"""The panels of a report: which quantity, what it means, and the lines to draw."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from entrostat.analysis._statistics import medians, quartiles, smoothed
from entrostat.report._facts import Group
from entrostat.report._lines import Point, outline, packed, thinned
from entrostat.report._load import Run
from entrostat.report._text import number, percent

Series = Callable[[Run], list[Point]]
FLOOR = 1e-5
"""Masses below it are drawn at it: a logarithmic axis has no zero."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot."""

    key: str
    title: str
    note: str
    """What the reader sees, in a sentence or two."""
    section: str
    series: Series
    unit: str = ""
    """Of the vertical axis."""
    share: bool = False
    """Whether values are shares, shown in percent."""
    band: bool = False
    """Whether the controller's band belongs into it."""
    scale: str = "linear"
    """`linear`, `log`, or `auto`: logarithmic where the recipes lie far apart."""
    sparse: bool = False
    """Whether it has few points: drawn with marks, not smoothed, no recent mean."""


def panels(ks: list[str], split: str) -> list[Panel]:
    """Return all panels in reading order; `ks` and `split` say which evaluations there are."""
    return [_ENTROPY, *_CONTROL, _REWARD, *(_pass_at(k, split) for k in ks), *_SIDE]


def _field(name: str) -> Series:
    return lambda run: run.series(name)


def _step(key: str, title: str, note: str, section: str, **settings: Any) -> Panel:
    return Panel(key=key, title=title, note=note, section=section, series=_field(key), **settings)


def _pass_at(k: str, split: str) -> Panel:
    return Panel(
        key=f"pass_at_{k}",
        title=f"pass@{k}",
        note=f"Chance that one of {k} samples is right, on {split} problems."
        if k != "1"
        else f"Chance that a sample is right, on {split} problems.",
        section="learning",
        series=lambda run: run.curve(k, split),
        share=True,
        sparse=True,
    )


def _bonus_share(run: Run) -> list[Point]:
    sized = ((one.step, abs(one.bonus), abs(one.loss - one.bonus)) for one in run.steps if one.loss is not None)
    shares = ((step, bonus / (bonus + rest)) for step, bonus, rest in sized if bonus + rest > 0)
    return [(step, share) for step, share in shares if math.isfinite(share)]


def _useless(run: Run) -> list[Point]:
    return [(step, max(value, FLOOR)) for step, value in run.series("useless_mass")]


_ENTROPY = _step(
    "entropy",
    "Entropy",
    "Of the full next-token distribution. The shaded strip is the band a controller steers its clamped entropy into.",
    "entropy",
    unit="nats per token",
    band=True,
    scale="auto",
)
_CONTROL = (
    _step(
        "clamped_entropy",
        "Clamped entropy",
        "The recipe's own measure: what its term adds and its controller reads. The strip is its band.",
        "control",
        unit="nats per token",
        band=True,
        scale="auto",
    ),
    _step("coef", "Coefficient", "How hard the recipe pushes in this step.", "control"),
    _step("bonus", "Bonus", "What the recipe's terms added to the loss.", "control"),
    Panel(
        key="bonus_share",
        title="Bonus's share of the loss",
        note="Its size against that of the rest. A policy loss can be near 0 and still teach: read where it goes.",
        section="control",
        series=_bonus_share,
        share=True,
    ),
    _step("kept_mass", "Kept mass", "Probability of the tokens the measure keeps.", "control", share=True),
)
_REWARD = _step("reward", "Reward", "Mean reward of the rollouts behind the step.", "learning")
_SIDE = (
    Panel(
        key="useless_mass",
        title="Useless mass",
        note=f"Probability of tokens no right answer needs. The axis ends at {percent(FLOOR)}.",
        section="side",
        series=_useless,
        share=True,
        scale="log",
    ),
    _step(
        "silent_groups",
        "Silent groups",
        "Share of rollout groups whose rewards are all equal: they teach nothing.",
        "side",
        share=True,
    ),
    _step("length", "Length", "Mean response length.", "side", unit="tokens"),
    _step("clip_low", "Clipped from below", "Share of tokens whose ratio was clipped from below.", "side", share=True),
    _step("clip_high", "Clipped from above", "Share of tokens whose ratio was clipped from above.", "side", share=True),
)


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
