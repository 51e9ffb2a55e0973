"""The few statistics of a report, on plain floats: means over seeds with their interval, running means."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds and the half-width of its 95 % interval."""

    mean: float
    half: float | None
    """None with one seed: a single run says nothing about how far another would fall from it."""
    seeds: int

    @property
    def low(self) -> float:
        """Lower end of the interval; the mean itself without one."""
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        """Upper end of the interval; the mean itself without one."""
        return self.mean + (self.half or 0.0)


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Return the mean and Student's t interval of one value per seed; None without a finite value.

    Formula:
        mean ± t(0.975; n - 1) s / sqrt(n)

    Example:
        >>> found = estimate([1.0, 2.0, 3.0])
        >>> found.mean, round(found.half, 3), found.seeds
        (2.0, 2.484, 3)
        >>> estimate([1.0])
        Estimate(mean=1.0, half=None, seeds=1)
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return None
    count = len(finite)
    half = student_t(count - 1) * statistics.stdev(finite) / math.sqrt(count) if count > 1 else None
    return Estimate(statistics.fmean(finite), half, count)


def student_t(freedom: int, probability: float = 0.95) -> float:
    """Return t with P(|T| <= t) = `probability` for Student's distribution with `freedom` degrees.

    Reference:
        Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(80):  # halves the angle's bracket below a float's resolution
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < probability else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    # P(|T| <= t) with angle = atan(t / sqrt(freedom)):
    #   even: sin (1 + 1/2 cos^2 + 1*3/(2*4) cos^4 + ...)          up to cos^(freedom - 2)
    #   odd:  2/pi (angle + sin (cos + 2/3 cos^3 + 2*4/(3*5) cos^5 + ...)), the same
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= (k - 1) / k * cosine * cosine
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the finite values; None without one."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return statistics.fmean(finite) if finite else None


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Return the means of all full windows: item i covers `values[i : i + window]`."""
    sums = [0.0, *itertools.accumulate(values)]
    return [(sums[i + window] - sums[i]) / window for i in range(len(values) - window + 1)]
