"""The ordering the paper's first figure shows, as a number: how far final rewards are from breaking it."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from entrostat.lab._toy import METHODS, Curve, Method, Toy, run_toys

OPTIMAL = (15, 10, 5, 1)
ENTROPY_HELPS = {15: True, 10: True, 5: False, 1: False}
STEP = 0.02
"""Half a prompt of 25: what two mean rewards must differ by to count as different."""

Key = tuple[int, Method]
"""Number of right tokens and method."""
Finals = Mapping[Key, float]
"""Mean final reward."""


def toy_curves(toy: Toy, seeds: Iterable[int]) -> dict[Key, list[Curve]]:
    """Run every method with every number of right tokens, once per seed."""
    seeds = tuple(seeds)
    return {
        (optimal, method): run_toys(replace(toy, optimal=optimal), method, seeds)
        for optimal, method in itertools.product(OPTIMAL, METHODS)
    }


def finals(curves: Mapping[Key, Sequence[Curve]]) -> dict[Key, float]:
    """Return mean final rewards."""
    return {key: statistics.mean(ends(runs)) for key, runs in curves.items()}


def ends(runs: Sequence[Curve]) -> list[float]:
    """Return the final reward of each run."""
    return [float(run.reward[-1]) for run in runs]


def parts(found: Finals) -> dict[str, float]:
    """Return by how much each part of the ordering holds; below 0 it is broken."""
    margins: dict[str, float] = {}
    for optimal in OPTIMAL:
        none, entropy, clamped = (found[optimal, method] for method in METHODS)
        margins[f"clamped beats none at {optimal}"] = clamped - none - STEP
        margins[f"clamped beats entropy at {optimal}"] = clamped - entropy - STEP
        gain = entropy - none
        if ENTROPY_HELPS[optimal]:
            margins[f"entropy beats none at {optimal}"] = gain - STEP
        else:
            margins[f"entropy does not beat none at {optimal}"] = STEP - gain
    return margins


def margin(found: Finals) -> float:
    """Return the margin of the weakest part: the ordering of the figure is there if it is above 0."""
    return min(parts(found).values())


# Student's t at 97.5 % by degrees of freedom.
_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and half width of the 95 % interval over at most ten seeds.

    Example:
        >>> interval([1.0, 2.0, 3.0])
        (2.0, 2.484338...)
    """
    half = _T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), half
