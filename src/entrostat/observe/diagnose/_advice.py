"""What to try next, and why: from each finding to a recipe and its settings.

The settings are made from the run's own entropy, since no band in nats suits two models. They are where to start, not
an optimum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import BAND_HIGH, BAND_LOW, Alarm


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
    """Return what to try, one per finding, in the order of the findings.

    Args:
        curves: the run.
        findings: its alarms.
        start: its entropy at the start, nats; without one no band can be named and there is no advice.
    """
    if start is None:
        return []
    case = _Case(curves, {finding.kind: finding for finding in findings}, start)
    made = (_ADVICE[finding.kind](case) for finding in findings if finding.kind in _ADVICE)
    # Two findings may call for the same recipe in the same words; once is enough.
    return list({advice.python: advice for advice in reversed(list(made))}.values())[::-1]


@dataclasses.dataclass(frozen=True)
class _Case:
    curves: Curves
    findings: dict[str, Alarm]
    start: float

    @property
    def coef(self) -> float:
        """The largest coefficient paid."""
        return max((value for _, value in self.curves.series("coef")), default=0.0)

    def band(self, **settings: float) -> str:
        low, high = _digits(BAND_LOW * self.start), _digits(BAND_HIGH * self.start)
        given = "".join(f", {name}={_digits(value)}" for name, value in settings.items())
        return f"es.recipes.aent(low={low}, high={high}{given})"


def _digits(value: float) -> str:
    return f"{value:.2g}"


def _advice(finding: str, reason: str, recipe: str, python: str) -> Advice:
    command = f"entrostat run --recipe none --recipe {recipe}"
    return Advice(finding=finding, reason=reason, recipe=recipe, python=python, command=command)


def _collapsed(case: _Case) -> Advice:
    if "pinned" in case.findings:
        return _pinned(case)
    if case.coef > 0:
        reason = (
            f"the coefficient, {_digits(case.coef)} at most, was too small to hold the entropy. A band raises it as "
            "far as it takes, and gives it back above the band"
        )
        settings = {"initial": case.coef, "rate": case.coef, "floor": 0.0, "ceiling": 10 * case.coef}
        return _advice("collapsed", reason, "aent", case.band(**settings))
    reason = (
        f"nothing paid for entropy. A band between {BAND_LOW:.0%} and {BAND_HIGH:.0%} of this run's "
        f"{_digits(case.start)} nats raises a coefficient once entropy has fallen to it. How large it must become "
        "depends on the model: as below it stays in the published range, which may be too small; `entrostat calibrate "
        "--model DIR --data PROMPTS` gives the line for yours. Without a bonus, clip_higher slows the fall where a "
        "batch has several updates"
    )
    return _advice("collapsed", reason, "aent", case.band())


def _withdrawn(case: _Case) -> Advice:
    reason = (
        "entropy fell because the coefficient was taken back to zero; annealed over the last 10% only, it falls later"
    )
    return _advice("withdrawn", reason, "aent", case.band(anneal=0.1))


def _exploded(case: _Case) -> Advice:
    if case.coef > 0:
        reason = (
            f"a coefficient of up to {_digits(case.coef)} paid for entropy beyond use. A band takes it back to its "
            "floor above the upper edge; start from a tenth"
        )
        settings = {"initial": case.coef / 10, "rate": case.coef / 10, "floor": 0.0, "ceiling": case.coef}
        return _advice("exploded", reason, "aent", case.band(**settings))
    reason = (
        "no bonus was paid, so the rise comes from elsewhere: look at a wide upper clip bound, truncated responses and "
        "the sampling temperature first. EntroPIC's law also pushes entropy down, which a bonus cannot"
    )
    return _advice("exploded", reason, "entropic", f"es.recipes.entropic(target={_digits(BAND_HIGH * case.start)})")


def _oscillated(case: _Case) -> Advice:
    rate = case.curves.setting("rate")
    reason = (
        f"entropy swung {case.findings['oscillated'].value:.0f} times: the law answers faster than the policy follows. "
        "A quarter of the rate, moved once per batch of rollouts, is calmer"
    )
    slower = rate / 4 if rate else max(case.coef, 4e-4) / 4
    python = case.band(rate=slower).replace(")", ', window="rollout")')
    return _advice("oscillated", reason, "aent", python)


def _leaked(case: _Case) -> Advice:
    reason = (
        f"up to {case.findings['leaked'].value:.1%} of the probability went to tokens no answer needs: a bonus on the "
        "full distribution wakes the tail up. Pay for the plausible tokens only"
    )
    return _advice("leaked", reason, "tre", f"es.recipes.tre(top_p=0.99, coef={_digits(case.coef or 1e-3)})")


def _pinned(case: _Case) -> Advice:
    share = case.findings["pinned"].value
    reason = (
        f"the coefficient sat at its ceiling of {_digits(case.coef)} in {share:.0%} of the steps; the law wanted more. "
        "Raise the ceiling threefold"
    )
    settings = {"initial": case.coef, "rate": case.coef / 4, "floor": 0.0, "ceiling": 3 * case.coef}
    return _advice("pinned", reason, "aent", case.band(**settings))


def _idle(case: _Case) -> Advice:
    reason = (
        "the coefficient was zero at every step, so nothing was changed; a band raises it when entropy needs it, in "
        "the published range as below, or in that of your model: `entrostat calibrate --model DIR --data PROMPTS`"
    )
    return _advice("idle", reason, "aent", case.band())


def _unclipped(case: _Case) -> Advice:
    reason = (
        "the ratio never reached a bound: with one update per batch of rollouts it is always 1. Take several updates "
        "per batch, or a recipe that acts without a ratio"
    )
    return _advice("unclipped", reason, "aent", case.band())


def _inert(case: _Case) -> Advice:
    reason = (
        f"the clamp removed {case.findings['inert'].value:.2g} of the probability, so it paid for the full entropy. On "
        "a peaked policy a share of the vocabulary hardly matters; a share of the probability does"
    )
    return _advice("inert", reason, "aent", case.band(top_p=0.9))


_ADVICE: dict[str, Callable[[_Case], Advice]] = {
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
