"""The plots of a report: the panels, the lines in them (seeds, medians, bands), and the large one as a still picture.

The picture is seen before the scripts have run, and by readers without scripts.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entrostat.observe.html import round_values
from entrostat.observe.report._curves import Curve, corners, curve, over_seeds, packed, smoothed, thinned, unpacked
from entrostat.observe.report._groups import Group
from entrostat.observe.report._load import Run
from entrostat.observe.text import label, number, percent

NAME = 20
"""Characters of a name that stands in a plot."""
WIDTH, HEIGHT = 1000, 400
_POINTS = 120
"""Points of a line: the picture is there for a moment, or for those who get no other."""
_APART = 5.0
"""Percent of the height by which names at the ends of lines are held apart."""
_FLOOR = 1e-5
"""Masses below it are drawn at it: a logarithmic axis has no zero."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot; `panels.toml` has most of them and explains the fields."""

    key: str
    title: str
    note: str
    section: str
    unit: str = ""
    share: bool = False
    band: bool = False
    scale: str = "linear"
    evaluated: tuple[str, str] | None = None
    """k and split of the evaluations it shows: few points, drawn with marks, not smoothed, without a recent mean."""

    def curve(self, run: Run) -> Curve:
        """Return its quantity in one run."""
        if self.evaluated:
            points = run.passes(*self.evaluated)
            return curve([step for step, _ in points], [value for _, value in points])
        if self.key == "bonus_share":
            bonus, loss = (np.asarray(run.columns[name]) for name in ("bonus", "loss"))
            with np.errstate(invalid="ignore"):  # without a bonus and a loss there is no share
                return curve(run.steps, np.abs(bonus) / (np.abs(bonus) + np.abs(loss - bonus)))
        found = _column(run, self.key)
        return Curve(found.steps, np.maximum(found.values, _FLOOR)) if self.scale == "log" else found

    def written(self, value: float) -> str:
        """Return a value as text."""
        return percent(value) if self.share else number(value)


def _column(run: Run, name: str) -> Curve:
    return curve(run.steps, run.columns[name])


def panels(ks: Sequence[str], split: str) -> list[Panel]:
    """Return all panels in reading order; `ks` and `split` say which evaluations there are."""
    found: list[Panel] = []
    for settings in tomllib.loads(Path(__file__).with_name("panels.toml").read_text(encoding="utf-8"))["panel"]:
        found.append(Panel(**settings))
        if settings["key"] == "reward":
            found += [_passed(k, split) for k in ks]
    return found


def _passed(k: str, split: str) -> Panel:
    which = "a sample" if k == "1" else f"one of {k} samples"
    note = f"Chance that {which} is right, on {split} problems."
    return Panel(
        key=f"pass_at_{k}", title=f"pass@{k}", note=note, section="learning", share=True, evaluated=(k, split)
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    """A panel with its data."""

    panel: Panel
    lines: list[dict[str, Any]]
    described: str
    """The whole plot in a sentence, for those who do not see it."""
    log: bool = False
    ends: Sequence[tuple[int, str]] = ()
    """Each recipe's number, and its last value as text."""
    reach: float | None = None
    """Where the horizontal axis ends if it is entropy and no step."""

    @property
    def shade(self) -> float:
        """How dark a band is: several of them mostly lie over one another, and together are as dark as one."""
        return max(0.03, 0.15 / max(1, sum(line["kind"] == "band" for line in self.lines)))


def drawings(groups: Sequence[Group], chosen: Sequence[Panel], budget: int = 130_000) -> list[Drawing]:
    """Return every panel that has data. `budget` bounds the points of all lines together."""
    runs = sum(len(group.runs) for group in groups)
    limit = max(200, min(1500, budget // max(1, len(chosen) * (runs + 3 * len(groups)))))
    made = (_drawing(panel, groups, limit) for panel in chosen)
    return [drawing for drawing in made if drawing is not None]


def _drawing(panel: Panel, groups: Sequence[Group], limit: int) -> Drawing | None:
    middles: list[tuple[Group, Curve]] = []
    lines: list[dict[str, Any]] = []
    for group in groups:
        seeds = [found for run in group.runs if (found := panel.curve(run)).steps.size]
        if seeds:
            middle = over_seeds(seeds, 0.5)
            middles.append((group, middle))
            lines += _group_lines(panel, group, seeds, middle, limit)
    if not middles:
        return None
    values = np.concatenate([middle.values for _, middle in middles])
    positive = values[values > 0]
    far_apart = positive.size > 0 and positive.max() / positive.min() > 20
    return Drawing(
        panel=panel,
        lines=lines,
        described=_described(panel, middles),
        log=bool(panel.scale == "log" or (panel.scale == "auto" and far_apart)),
        ends=[(group.index, panel.written(_last(panel, middle))) for group, middle in middles],
    )


def _group_lines(panel: Panel, group: Group, seeds: list[Curve], middle: Curve, limit: int) -> list[dict[str, Any]]:
    def calm(found: Curve) -> Curve:
        bold = found if panel.evaluated else smoothed(found, smoothing(len(found.steps)))
        return thinned(bold, limit)

    def line(kind: str, found: Curve) -> dict[str, Any]:
        return {"g": group.index, "kind": kind, **packed(found)}

    lines: list[dict[str, Any]] = []
    if panel.band and (edges := _band(group)):
        low, high = edges
        lines.append(line("band", corners(low).then(corners(high).backwards())))
    low, high = (over_seeds(seeds, share, least=3) for share in (0.25, 0.75))
    if low.steps.size:
        # Smoothed as the median is, or the bold line would leave it.
        lines.append(line("half", calm(low).then(calm(high).backwards())))
    lines += [line("seed", thinned(found, limit)) for found in seeds]
    return [*lines, line("median", calm(middle))]


def _band(group: Group) -> tuple[Curve, Curve] | None:
    # Relative bands differ by seed: the strip has the median edges, as the bold line is the median curve.
    edges = [[_column(run, name) for run in group.runs] for name in ("band_low", "band_high")]
    if not all(any(found.steps.size for found in seeds) for seeds in edges):
        return None
    low, high = (over_seeds(seeds, 0.5) for seeds in edges)
    return low, high


def smoothing(length: int) -> int:
    """Return over how many steps the bold line of a panel is smoothed; the raw lines stay visible under it."""
    return 2 * min(length // 60, 10) + 1


def _last(panel: Panel, middle: Curve) -> float:
    count = len(middle.values)
    return float(middle.values[-1 if panel.evaluated else -min(20, (count + 1) // 2) :].mean())


def _described(panel: Panel, middles: list[tuple[Group, Curve]]) -> str:
    parts: list[str] = []
    for group, middle in middles:
        values = middle.values
        ends = (values[0], _last(panel, middle), values.min(), values.max())
        first, last, least, most = (panel.written(float(value)) for value in ends)
        parts.append(f"{group.label}: starts at {first}, ends at {last}, between {least} and {most}")
    steps = max(int(middle.steps[-1]) for _, middle in middles)
    unit = f" in {panel.unit}" if panel.unit else ""
    return f"{panel.title}{unit} over {steps} steps. {'; '.join(parts)}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Still:
    """The large plot as a picture; places are percent of its width or height."""

    shapes: list[tuple[str, str, str]]
    """Kind, the class of the recipe's colour, points as SVG writes them."""
    up: list[tuple[float, str]]
    along: list[tuple[float, str]]
    names: list[tuple[float, str, str]]
    """Place at the right edge, the class of the recipe's colour, its name."""
    shade: float
    """How dark a band is."""


def still(drawing: Drawing, groups: Sequence[Group], last: int) -> Still:
    """Return the picture of a plot over the steps up to `last`."""

    def scaled(value: float) -> float:
        return math.log10(max(value, 1e-12)) if drawing.log else value

    values = [value for line in drawing.lines for value in line["y"] if value > 0 or not drawing.log]
    low, high = scaled(min(values, default=1.0)), scaled(max(values, default=1.0))
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - room, high + room

    def across(step: float) -> float:
        return 100 * step / (1.015 * last)

    def up(value: float) -> float:
        return 100 * (scaled(value) - low) / (high - low)

    def points(line: dict[str, Any]) -> str:
        whole = unpacked(line)
        some = whole if line["kind"] in ("band", "half") else whole[:: 1 + len(whole) // _POINTS] + whole[-1:]
        return " ".join(f"{WIDTH / 100 * across(x):.0f},{HEIGHT * (1 - up(y) / 100):.1f}" for x, y in some)

    names: list[tuple[float, str, str]] = []
    floor = -math.inf
    medians = [line for line in drawing.lines if line["kind"] == "median"]
    for line in sorted(medians, key=lambda line: line["y"][-1]):
        group = groups[line["g"]]
        floor = max(up(line["y"][-1]), floor + _APART)
        names.append((floor, group.style, label(group.label, limit=NAME)))
    heights = _decades(low, high) if drawing.log else round_values(low, high, 4)
    return Still(
        shapes=[(line["kind"], groups[line["g"]].style, points(line)) for line in drawing.lines],
        up=[(up(value), f"{value:g}") for value in heights],
        along=[(across(step), f"{step:g}") for step in round_values(0, last, 4)],
        names=names,
        shade=drawing.shade,
    )


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(low), math.ceil(high) + 1)
    places = [times * 10.0**power for power in powers for times in (1, 2, 5)]
    return [float(f"{value:.3g}") for value in places if low <= math.log10(value) <= high]
