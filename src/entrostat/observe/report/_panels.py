"""The panels of a report: which quantity, and what it means."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from entrostat.observe.report._lines import Point
from entrostat.observe.report._load import Run
from entrostat.observe.report._text import percent

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
