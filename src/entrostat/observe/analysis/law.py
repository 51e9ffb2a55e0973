"""The entropy-performance law and the ceiling it forecasts.

    R = -a e^H + b            R: accuracy or reward, H: entropy in nats, so R(H = 0) = b - a is the ceiling

In x = e^H the law is a line, and everything about it is closed form:

    slope = sum (x - mx)(R - mR) / sum (x - mx)^2 = -a        b = mR + a mx
    ceiling = mR + slope (1 - mx)                             (a prediction at x = 1)
    var ceiling = s^2 g (1/n + (1 - mx)^2 / sum (x - mx)^2)   s^2: variance of the residuals

The ceiling is linear in slope and intercept, so the delta method is exact here and no bootstrap is needed. Residuals
of neighbouring steps are correlated; g = (1 + r) / (1 - r), with their lag-one correlation r, allows for it.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
import operator
from collections.abc import Sequence
from statistics import fmean

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import exploded
from entrostat.observe.analysis.statistics import student_t

LEAST_POINTS = 8
"""Points below which no law is fitted."""
BLOCKS = 40
"""Stretches of the run whose means are fitted: noise in H would flatten the slope, and single steps are noisy."""
NEAR = 5
"""Steps before an evaluation whose entropy is paired with it."""
SPREAD = 0.05
"""Least range of e^H: a line through one place has any slope."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Law:
    """R = -a e^H + b, fitted to one run."""

    a: float
    b: float
    half: float
    """Half-width of the ceiling's 95 % interval."""
    explained: float
    """Share of the variance of R that the law explains."""
    points: int
    entropy_low: float
    """Least entropy fitted; below it the law is a forecast."""
    entropy_high: float
    performance: str
    """The name of R: `accuracy` or `reward`."""

    @property
    def ceiling(self) -> float:
        """R at H = 0: the most that can still be reached, if the law keeps holding."""
        return self.b - self.a

    def at(self, entropy: float) -> float:
        """Return R at an entropy."""
        return self.b - self.a * math.exp(entropy)


@dataclasses.dataclass(frozen=True)
class NoLaw:
    """Why no law was fitted."""

    reason: str


def pairs(curves: Curves, performance: str | None = None) -> tuple[str, list[tuple[float, float]]]:
    """Return the name of the performance and (entropy, performance) in the order of the steps.

    Args:
        curves: the run.
        performance: `accuracy`, paired with the mean entropy of the steps before it, or `reward`; without it, accuracy
            where it was measured often enough, else the reward.
    """
    if performance != "reward":
        accuracy = _accuracy(curves)
        if performance == "accuracy" or len(accuracy) >= LEAST_POINTS:
            return "accuracy", accuracy
    by_step = dict(curves.series("entropy"))
    return "reward", [(by_step[step], value) for step, value in curves.series("reward") if step in by_step]


def _accuracy(curves: Curves) -> list[tuple[float, float]]:
    entropy = curves.series("entropy")
    step_of = operator.itemgetter(0)
    found: list[tuple[float, float]] = []
    for step, value in curves.series("accuracy"):
        # The start model has no step before it: its entropy is that of the first step, taken before any update.
        first = bisect.bisect_right(entropy, step - NEAR, key=step_of)
        near = [h for _, h in entropy[first : bisect.bisect_right(entropy, max(step, 1), key=step_of)]]
        if near:
            found.append((sum(near) / len(near), value))
    return found


def fit_law(curves: Curves, performance: str | None = None) -> Law | NoLaw:
    """Fit the law to a run, or say why it cannot be fitted.

    Args:
        curves: the run; needs `entropy`, and `accuracy` or `reward`.
        performance: which of the two, as in `pairs`.

    Returns:
        The law with the interval of its ceiling, or the reason there is none.

    Reference:
        Cui et al., "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models", arXiv 2505.22617.

    Example:
        >>> import math
        >>> entropy = [(step, 1.0 - 0.01 * step) for step in range(1, 81)]
        >>> reward = [(step, 0.9 - 0.2 * math.exp(h)) for step, h in entropy]
        >>> law = fit_law(Curves(name="exact", values={"entropy": entropy, "reward": reward}))
        >>> round(law.a, 2), round(law.b, 2), round(law.ceiling, 2)
        (0.2, 0.9, 0.7)
    """
    performance, found = pairs(curves, performance)
    if len(found) < LEAST_POINTS:
        missing = "neither reward nor accuracy is on record" if not found else f"only {len(found)} points are on record"
        return NoLaw(f"{missing}; the fit needs {LEAST_POINTS}")
    if exploded(curves):
        return NoLaw("entropy exploded, and the law describes runs that spend entropy")
    if max(h for h, _ in found) > 20:
        return NoLaw("the entropy is far above that of a language model, so it is not in nats per token")
    return _fit(blocked([(math.exp(h), r) for h, r in found]), performance)


def blocked(found: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the means of `BLOCKS` stretches of the run, or all points if there are no more than that."""
    count = min(BLOCKS, len(found))
    parts = [found[i * len(found) // count : (i + 1) * len(found) // count] for i in range(count)]
    return [(fmean(x for x, _ in part), fmean(r for _, r in part)) for part in parts]


def _fit(blocks: list[tuple[float, float]], performance: str) -> Law | NoLaw:
    n, xs, rs = len(blocks), [x for x, _ in blocks], [r for _, r in blocks]
    mx, mr, low, high = fmean(xs), fmean(rs), min(xs), max(xs)
    sxx, srr = sum((x - mx) ** 2 for x in xs), sum((r - mr) ** 2 for r in rs)
    tenth = max(1, n // 10)
    if high - low < SPREAD:
        return NoLaw(f"entropy hardly moved, between {math.log(low):.3g} and {math.log(high):.3g} nats")
    if fmean(xs[-tenth:]) - fmean(xs[:tenth]) > SPREAD:
        return NoLaw("entropy rose, and the law describes runs that spend entropy")
    if srr == 0:
        return NoLaw(f"the {performance} never changed")
    slope = sum((x - mx) * (r - mr) for x, r in blocks) / sxx
    residuals = [r - mr - slope * (x - mx) for x, r in blocks]
    squared = sum(e * e for e in residuals)
    # g of the head of this file; a lag-one correlation is held between 0 and 0.9.
    lagged = sum(a * b for a, b in itertools.pairwise(residuals))
    r = min(max(lagged / squared, 0.0), 0.9) if squared else 0.0
    variance = squared / (n - 2) * (1 + r) / (1 - r)
    t = student_t(n - 2)
    if slope + t * math.sqrt(variance / sxx) >= 0:
        return NoLaw(f"the {performance} did not clearly rise as entropy fell, so the law does not describe this run")
    return Law(
        a=-slope,
        b=mr - slope * mx,
        half=t * math.sqrt(variance * (1 / n + (1 - mx) ** 2 / sxx)),
        explained=1 - squared / srr,
        points=n,
        entropy_low=math.log(low),
        entropy_high=math.log(high),
        performance=performance,
    )
