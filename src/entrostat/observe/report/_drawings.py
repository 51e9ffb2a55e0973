"""The panels of a report, which quantity and what it means, and the lines in them: seeds, medians, bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from entrostat.observe.report._curves import Curve, corners, curve, over_seeds, packed, smoothed, thinned
from entrostat.observe.report._groups import Group
from entrostat.observe.report._load import Run
from entrostat.observe.text import number, percent

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
    series: Callable[[Run], Curve] | None = None
    """Its quantity; the field of the step records that its key names if not given."""
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

    def curve(self, run: Run) -> Curve:
        """Return its quantity in one run."""
        return self.series(run) if self.series else _column(run, self.key)

    def written(self, value: float) -> str:
        """Return a value as text."""
        return percent(value) if self.share else number(value)


def panels(ks: Sequence[str], split: str) -> list[Panel]:
    """Return all panels in reading order; `ks` and `split` say which evaluations there are."""
    return [*_ENTROPY, _REWARD, *(_pass_at(k, split) for k in ks), *_SIDE]


def _column(run: Run, name: str) -> Curve:
    return curve(run.steps, run.columns[name]) if run.steps else curve([], [])


def _pass_at(k: str, split: str) -> Panel:
    def series(run: Run) -> Curve:
        points = run.passes(k, split)
        return curve([step for step, _ in points], [value for _, value in points])

    which = "a sample" if k == "1" else f"one of {k} samples"
    return Panel(
        key=f"pass_at_{k}",
        title=f"pass@{k}",
        note=f"Chance that {which} is right, on {split} problems.",
        section="learning",
        series=series,
        share=True,
        sparse=True,
    )


def _bonus_share(run: Run) -> Curve:
    bonus, loss = (np.asarray(run.columns[name]) for name in ("bonus", "loss"))
    size, rest = np.abs(bonus), np.abs(loss - bonus)
    with np.errstate(invalid="ignore"):  # without a bonus and a loss there is no share
        return curve(run.steps, size / (size + rest))


def _useless(run: Run) -> Curve:
    found = _column(run, "useless_mass")
    return Curve(found.steps, np.maximum(found.values, FLOOR))


_ENTROPY = (
    Panel(
        key="entropy",
        title="Entropy",
        note="Of the full next-token distribution. The shaded strip is the band a controller steers its clamped "
        "entropy into.",
        section="entropy",
        unit="nats per token",
        band=True,
        scale="auto",
    ),
    Panel(
        key="clamped_entropy",
        title="Clamped entropy",
        note="The recipe's own measure: its term adds it and its controller reads it. The strip is its band.",
        section="control",
        unit="nats per token",
        band=True,
        scale="auto",
    ),
    Panel(key="coef", title="Coefficient", note="How hard the recipe pushes in this step.", section="control"),
    Panel(key="bonus", title="Bonus", note="Added to the loss by the recipe's terms.", section="control"),
    Panel(
        key="bonus_share",
        title="Bonus's share of the loss",
        note="Its size against that of the rest. A policy loss can be near 0 and still teach: read where it goes.",
        section="control",
        series=_bonus_share,
        share=True,
    ),
    Panel(
        key="kept_mass",
        title="Kept mass",
        note="Probability of the tokens the measure keeps.",
        section="control",
        share=True,
    ),
)
_REWARD = Panel(
    key="reward", title="Reward", note="Mean reward of the rollouts behind the step.", section="learning"
)  # fmt: skip
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
    Panel(
        key="silent_groups",
        title="Silent groups",
        note="Share of rollout groups whose rewards are all equal: they teach nothing.",
        section="side",
        share=True,
    ),
    Panel(key="length", title="Length", note="Mean response length.", section="side", unit="tokens"),
    *(
        Panel(
            key=key,
            title=f"Clipped from {side}",
            note=f"Share of tokens whose ratio was clipped from {side}.",
            section="side",
            share=True,
        )
        for key, side in (("clip_low", "below"), ("clip_high", "above"))
    ),
)


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
        bold = found if panel.sparse else smoothed(found, smoothing(len(found.steps)))
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
    return float(middle.values[-1 if panel.sparse else -min(20, (count + 1) // 2) :].mean())


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
