"""Finds what went wrong in a run: collapse, explosion, oscillation, a leak, a pinned coefficient, an inert method.

Every rule looks at means over several steps, so that one odd batch raises no alarm, and is silent on runs shorter than
`WINDOW`. The thresholds are conventions, printed wherever the findings are. They live here alone: the report, the
diagnosis and the monitor all call `alarms`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from entrostat.observe.analysis.curves import Curves, Point
from entrostat.observe.analysis.statistics import mean, running_mean

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
SWING = 2.0
"""Factor between a low and the next high, or back, from which a movement of entropy counts as a swing."""
SWINGS = 4
"""Swings, up and down in turn, from which entropy counts as oscillating: two whole periods."""
CALM = 5
"""Steps over whose means swings are looked for; a mean over `WINDOW` would flatten the fast ones."""
INERT_MASS = 0.01
"""Probability a clamp must remove, on average over the run, not to count as inert..."""
INERT_SHARE = 0.05
"""...unless it removes this share of the entropy."""
BAND_LOW, BAND_HIGH = 0.55, 0.85
"""Edges of the band to start from, as shares of the entropy at the start, where nothing else is known. On the embedded
model, of the bands swept from 40 % to 115 % of its 0.34 nats, 58 % to 87 % ended with the best pass@16
(`benchmarks/results/embedded_aent_sweep.txt`). Other models may differ."""


@dataclasses.dataclass(frozen=True)
class Alarm:
    """One finding in one run."""

    kind: str
    """`collapsed`, `withdrawn` (collapsed as the coefficient was), `exploded`, `oscillated`, `leaked`, `pinned`,
    `idle` (no coefficient), `unclipped` (a clip that never acted) or `inert` (a clamp that removes nothing)."""
    step: int
    """Step at which it began."""
    value: float
    """Its measure: the lowest or highest mean over the window, the number of swings, or a share."""


def start_mean(values: Sequence[float]) -> float | None:
    """Return the mean of the first steps: 5, fewer in a run under 10."""
    return mean(values[: min(5, (len(values) + 1) // 2)])


def end_mean(values: Sequence[float]) -> float | None:
    """Return the mean of the last steps: 20, fewer in a run under 40."""
    return mean(values[-min(20, (len(values) + 1) // 2) :]) if values else None


def alarms(curves: Curves) -> list[Alarm]:
    """Return the findings of a run, the most important first.

    Example:
        >>> entropy = [(step, 0.5 if step < 50 else 0.1) for step in range(1, 101)]
        >>> [(alarm.kind, alarm.step) for alarm in alarms(Curves(name="falls", values={"entropy": entropy}))]
        [('collapsed', 56)]
    """
    return _found(curves, (_exploded, _collapsed, _oscillated, _leaked, _pinned, _idle, _unclipped, _inert))


def exploded(curves: Curves) -> bool:
    """Return whether `exploded` is among a run's findings, without looking for all others."""
    return any(alarm.kind == "exploded" for alarm in _found(curves, (_exploded, _oscillated)))


def _found(curves: Curves, checks: Iterable[Callable[[Curves], Alarm | None]]) -> list[Alarm]:
    found = [alarm for check in checks if (alarm := check(curves)) is not None]
    swings = any(alarm.kind == "oscillated" for alarm in found)
    return [alarm for alarm in found if not (swings and _passing(curves, alarm.kind))]


def _passing(curves: Curves, kind: str) -> bool:
    """Return whether a finding is no more than a crest or a trough of a swinging run.

    Where entropy swings, its level is the mean over the last third of the run, several swings long.
    """
    values = curves.numbers("entropy")
    first, level = start_mean(values), mean(values[-len(values) // 3 :])
    if first is None or level is None:
        return False
    beyond = {"exploded": level > EXPLODED * first, "collapsed": level < COLLAPSED * first}
    return kind in beyond and not beyond[kind]


def _exploded(curves: Curves) -> Alarm | None:
    first = start_mean(curves.numbers("entropy"))
    return None if first is None else _above(curves.series("entropy"), EXPLODED * first, "exploded")


def _leaked(curves: Curves) -> Alarm | None:
    return _above(curves.series("useless_mass"), LEAKED, "leaked")


def _above(points: list[Point], bound: float, kind: str) -> Alarm | None:
    means = running_mean([value for _, value in points], WINDOW)
    begin = next((i for i, value in enumerate(means) if value > bound), None)
    return None if begin is None else Alarm(kind, points[begin][0], max(means))


def _collapsed(curves: Curves) -> Alarm | None:
    points, values = curves.series("entropy"), curves.numbers("entropy")
    first, means = start_mean(values), running_mean(values, WINDOW)
    if first is None or not means or means[-1] >= COLLAPSED * first:
        return None
    above = [i for i, value in enumerate(means) if value >= COLLAPSED * first]
    step = points[above[-1] + WINDOW if above else 0][0]
    return Alarm("withdrawn" if _withdrawn(curves, step) else "collapsed", step, min(means))


def _withdrawn(curves: Curves, collapse: int) -> bool:
    # A controller whose entropy is too low raises its coefficient; where it ends at zero, a schedule took it away. That
    # explains a collapse only if the coefficient had left its height by then.
    points = [(step, abs(value)) for step, value in curves.series("coef")]
    peak = max((value for _, value in points), default=0.0)
    if peak == 0 or points[-1][1] > 0.01 * peak:
        return False
    return collapse > max(step for step, value in points if value >= 0.9 * peak) - WINDOW


def _oscillated(curves: Curves) -> Alarm | None:
    points, values = curves.series("entropy"), curves.numbers("entropy")
    if len(points) < WINDOW:
        return None
    turns = _turns(running_mean(values, CALM), least=0.1 * (start_mean(values) or 0.0))
    # Each turn is known by the swing that follows it.
    return Alarm("oscillated", points[turns[0]][0], float(len(turns))) if len(turns) >= SWINGS else None


def _turns(means: Sequence[float], least: float) -> list[int]:
    """Return where the curve turned: highs and lows in turn, each followed by a swing.

    `least` is the absolute size of a swing: where hardly any entropy is left, a factor means nothing.
    """
    turns: list[int] = []
    # Where the extremes since the last turn are, and the direction since then: 0 before the first.
    low = high = trend = 0
    for i, value in enumerate(means):
        low, high = (i if value < means[low] else low), (i if value > means[high] else high)
        if trend >= 0 and means[high] > max(SWING * value, value + least):
            turns.append(high)
            low, trend = i, -1
        elif trend <= 0 and value > max(SWING * means[low], means[low] + least):
            turns.append(low)
            high, trend = i, 1
    return turns


def _pinned(curves: Curves) -> Alarm | None:
    points, values = curves.series("coef"), curves.numbers("coef")
    ceiling = curves.setting("ceiling")
    # Without a ceiling on record, a coefficient that never rose is a constant one.
    if not values or max(values) <= 0 or (ceiling is None and max(values) == values[0]):
        return None
    top = ceiling if ceiling is not None else max(values)
    held = [step for step, value in points if value >= top * (1 - 1e-6)]
    share = len(held) / len(points)
    return Alarm("pinned", held[0], share) if len(held) >= WINDOW and share >= PINNED else None


def _idle(curves: Curves) -> Alarm | None:
    points = curves.series("coef")
    pays = not curves.acts_on or "loss term" in curves.acts_on
    if curves.recipe == "none" or not pays or len(points) < WINDOW:
        return None
    # A term with a coefficient of its own shows in the bonus.
    silent = not any(curves.numbers("coef")) and not any(curves.numbers("bonus"))
    return Alarm("idle", points[0][0], 1.0) if silent else None


def _unclipped(curves: Curves) -> Alarm | None:
    points = curves.series("clip_low") + curves.series("clip_high")
    if "clip bounds" not in curves.acts_on or len(points) < 2 * WINDOW or any(value for _, value in points):
        return None
    return Alarm("unclipped", points[0][0], 1.0)


def _inert(curves: Curves) -> Alarm | None:
    points = curves.series("kept_mass")
    mass = mean(1 - value for _, value in points)
    whole, clamped = mean(curves.numbers("entropy")), mean(curves.numbers("clamped_entropy"))
    # Where nothing at all is removed, the measure is the full entropy and there is no clamp.
    if mass is None or not whole or clamped is None or len(points) < WINDOW or mass == 0:
        return None
    inert = mass < INERT_MASS and abs(whole - clamped) < INERT_SHARE * whole
    return Alarm("inert", points[0][0], mass) if inert else None
