"""Advice: from each finding to a recipe, its settings and the reason.

The settings are derived from the run's own entropy, since no band in nats suits two models. They are a place to start,
not an optimum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import BAND_HIGH, BAND_LOW, Alarm

_CALIBRATE = "`entrostat calibrate --model DIR --data PROMPTS`"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing to try."""

    finding: str
    """Kind of the finding it answers."""
    reason: str
    """Why, from this run's figures."""
    recipe: str
    python: str
    """The recipe as an expression, with `import entrostat as es`."""
    command: str
    """The same recipe on the embedded job, to see what it does."""


def advise(curves: Curves, findings: Sequence[Alarm], start: float | None) -> list[Advice]:
    """Return advice in the order of the findings. Without the entropy at the start no band can be named."""
    if start is None:
        return []
    case = _Case(curves, {finding.kind: finding.value for finding in findings}, start)
    made = [_ANSWERS[finding.kind](case) for finding in findings if finding.kind in _ANSWERS]
    # Two findings may call for the same recipe with the same settings; the first says it.
    return list({advice.python: advice for advice in reversed(made)}.values())[::-1]


@dataclasses.dataclass(frozen=True)
class _Case:
    """A run, the value of each of its findings by kind, and its entropy at the start."""

    curves: Curves
    values: dict[str, float]
    start: float

    @property
    def coef(self) -> float:
        """The largest coefficient paid."""
        return max(self.curves.numbers("coef"), default=0.0)

    def advice(self, finding: str, reason: str, recipe: str = "aent", **settings: float | str) -> Advice:
        """Make the advice; AEnt gets a band from the run's own entropy."""
        band = {"low": BAND_LOW * self.start, "high": BAND_HIGH * self.start} if recipe == "aent" else {}
        arguments = ", ".join(
            f'{name}="{value}"' if isinstance(value, str) else f"{name}={value:.2g}"
            for name, value in {**band, **settings}.items()
        )
        command = f"entrostat run --recipe none --recipe {recipe}"
        python = f"es.recipes.{recipe}({arguments})"
        return Advice(finding=finding, reason=reason, recipe=recipe, python=python, command=command)


def _collapsed(case: _Case) -> Advice:
    if "pinned" in case.values:
        return _pinned(case)
    if case.coef > 0:
        reason = (
            f"the coefficient, {case.coef:.2g} at most, was too small to hold the entropy. A band raises it as far as "
            "needed, and lowers it again above the band"
        )
        return case.advice("collapsed", reason, initial=case.coef, rate=case.coef, floor=0.0, ceiling=10 * case.coef)
    reason = (
        f"no bonus was paid. A band between {BAND_LOW:.0%} and {BAND_HIGH:.0%} of this run's {case.start:.2g} nats "
        "raises a coefficient once entropy has fallen below it. How large the coefficient must become depends on the "
        f"model: the line below uses the published range, which may be too small, and {_CALIBRATE} prints the line "
        "for yours. Without a bonus, clip_higher slows the fall where a batch gets several updates"
    )
    return case.advice("collapsed", reason)


def _withdrawn(case: _Case) -> Advice:
    reason = (
        "entropy fell because the coefficient was taken back to zero. If it is annealed over the last 10% of the run "
        "only, entropy falls later"
    )
    return case.advice("withdrawn", reason, anneal=0.1)


def _exploded(case: _Case) -> Advice:
    if case.coef > 0:
        reason = (
            f"a coefficient of up to {case.coef:.2g} paid for more entropy than is useful. A band lowers it to its "
            "floor while entropy is above the upper edge; start from a tenth"
        )
        return case.advice(
            "exploded", reason, initial=case.coef / 10, rate=case.coef / 10, floor=0.0, ceiling=case.coef
        )
    reason = (
        "no bonus was paid, so the rise has another cause: check the upper clip bound, truncated responses and the "
        "sampling temperature first. EntroPIC's controller can also push entropy down, which a bonus cannot"
    )
    return case.advice("exploded", reason, "entropic", target=BAND_HIGH * case.start)


def _oscillated(case: _Case) -> Advice:
    rate = case.curves.setting("rate")
    reason = (
        f"entropy swung {case.values['oscillated']:.0f} times: the controller reacts faster than the policy follows. A "
        "quarter of the rate, applied once per batch of rollouts, is calmer"
    )
    return case.advice("oscillated", reason, rate=rate / 4 if rate else max(case.coef, 4e-4) / 4, window="rollout")


def _leaked(case: _Case) -> Advice:
    reason = (
        f"up to {case.values['leaked']:.1%} of the probability went to tokens that no answer needs: a bonus on the "
        "full distribution raises its tail. Pay for the plausible tokens only"
    )
    return case.advice("leaked", reason, "tre", top_p=0.99, coef=case.coef or 1e-3)


def _pinned(case: _Case) -> Advice:
    reason = (
        f"the coefficient was at its ceiling of {case.coef:.2g} in {case.values['pinned']:.0%} of the steps, and the "
        "controller would have raised it further. Triple the ceiling"
    )
    return case.advice("pinned", reason, initial=case.coef, rate=case.coef / 4, floor=0.0, ceiling=3 * case.coef)


def _idle(case: _Case) -> Advice:
    reason = (
        "the coefficient was zero at every step, so the recipe changed nothing. A band raises it when entropy needs "
        f"it; the line below uses the published range, and {_CALIBRATE} prints the range of your model"
    )
    return case.advice("idle", reason)


def _unclipped(case: _Case) -> Advice:
    reason = (
        "the ratio never reached a bound: with one update per batch of rollouts it is always 1. Make several updates "
        "per batch, or use a recipe that acts without a ratio"
    )
    return case.advice("unclipped", reason)


def _inert(case: _Case) -> Advice:
    reason = (
        f"the clamp removed {case.values['inert']:.2g} of the probability, so the bonus paid for the full entropy. On "
        "a peaked policy a share of the vocabulary hardly matters; a share of the probability does"
    )
    return case.advice("inert", reason, top_p=0.9)


_ANSWERS: dict[str, Callable[[_Case], Advice]] = {
    "collapsed": _collapsed,
    "withdrawn": _withdrawn,
    "exploded": _exploded,
    "oscillated": _oscillated,
    "leaked": _leaked,
    "pinned": _pinned,
    "idle": _idle,
    "unclipped": _unclipped,
    "inert": _inert,
}
