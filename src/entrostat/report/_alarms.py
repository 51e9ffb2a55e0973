"""Finds what went wrong in a run: collapse, explosion, a leak, a pinned or an idle coefficient.

Every rule looks at means over `WINDOW` steps, so that one odd batch is no alarm, and is silent on runs shorter than
that. The thresholds are conventions of this report, printed with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from entrostat.report._load import Run
from entrostat.report._statistics import mean, running_mean

WINDOW = 10
"""Steps a finding must last."""
COLLAPSED = 0.5
"""Share of its start below which entropy counts as collapsed."""
EXPLODED = 1.5
"""Multiple of its start above which entropy counts as exploded."""
LEAKED = 0.01
"""Mass on useless tokens that counts as a leak."""
PINNED = 0.2
"""Share of the steps at its ceiling from which a coefficient counts as pinned."""


@dataclasses.dataclass(frozen=True)
class Alarm:
    """One finding in one run."""

    kind: str
    """`collapsed`, `withdrawn` (collapsed as the coefficient was), `exploded`, `leaked`, `pinned`, `idle`."""
    step: int
    """Step at which it began."""
    value: float
    """Its measure: the lowest or highest mean over the window, or the share of steps."""


def start(values: Sequence[float]) -> float | None:
    """Return the mean of the first steps: 5, fewer in a run under 10."""
    return mean(values[: min(5, (len(values) + 1) // 2)])


def end(values: Sequence[float]) -> float | None:
    """Return the mean of the last steps: 20, fewer in a run under 40."""
    return mean(values[-min(20, (len(values) + 1) // 2) :]) if values else None


def alarms(run: Run) -> list[Alarm]:
    """Return the findings of a run in the order a reader should hear them."""
    checks = (_exploded, _collapsed, _leaked, _pinned, _idle)
    return [alarm for check in checks if (alarm := check(run)) is not None]


def _exploded(run: Run) -> Alarm | None:
    points = run.series("entropy")
    first = start([value for _, value in points])
    return None if first is None else _above(points, EXPLODED * first, "exploded")


def _leaked(run: Run) -> Alarm | None:
    return _above(run.series("useless_mass"), LEAKED, "leaked")


def _above(points: list[tuple[int, float]], bound: float, kind: str) -> Alarm | None:
    means = running_mean([value for _, value in points], WINDOW)
    begin = next((i for i, value in enumerate(means) if value > bound), None)
    return None if begin is None else Alarm(kind, points[begin][0], max(means))


def _collapsed(run: Run) -> Alarm | None:
    points = run.series("entropy")
    first = start([value for _, value in points])
    means = running_mean([value for _, value in points], WINDOW)
    if first is None or not means or means[-1] >= COLLAPSED * first:
        return None
    above = [i for i, value in enumerate(means) if value >= COLLAPSED * first]
    step = points[above[-1] + WINDOW if above else 0][0]
    return Alarm("withdrawn" if _withdrawn(run, step) else "collapsed", step, min(means))


def _withdrawn(run: Run, collapse: int) -> bool:
    # A controller whose entropy is too low raises its coefficient; where it ends at zero, a schedule took it away. That
    # explains a collapse only if the coefficient had left its height by then.
    points = [(step, abs(value)) for step, value in run.series("coef")]
    peak = max((value for _, value in points), default=0.0)
    if peak == 0 or points[-1][1] > 0.01 * peak:
        return False
    return collapse > max(step for step, value in points if value >= 0.9 * peak) - WINDOW


def _pinned(run: Run) -> Alarm | None:
    points = run.series("coef")
    values = [value for _, value in points]
    ceiling = setting(run.parameters, "ceiling")
    if not values or max(values) <= 0 or (ceiling is None and max(values) == values[0]):
        return None  # without a ceiling on record, a coefficient that never rose is a constant one
    top = ceiling if ceiling is not None else max(values)
    held = [step for step, value in points if value >= top * (1 - 1e-6)]
    share = len(held) / len(points)
    return Alarm("pinned", held[0], share) if len(held) >= WINDOW and share >= PINNED else None


def _idle(run: Run) -> Alarm | None:
    values = [value for _, value in run.series("coef")]
    if run.recipe == "none" or len(values) < WINDOW or any(values):
        return None
    return Alarm("idle", run.steps[0].step, 1.0)


def setting(parameters: dict[str, Any], name: str) -> float | None:
    """Return a number among a recipe's parameters, at any depth: a controller's settings are nested in them.

    Example:
        >>> setting({"clamp": 0.33, "controller": {"warmup": 5}}, "warmup")
        5.0
    """
    value = parameters.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    nested = (setting(inner, name) for inner in parameters.values() if isinstance(inner, dict))
    return next((found for found in nested if found is not None), None)
