"""Curves as columns: over the seeds of a recipe, smoothed, thinned so that no spike is lost, packed for the page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Curve(NamedTuple):
    """A quantity over the steps."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    def backwards(self) -> Curve:
        """Return the curve from its end to its start."""
        return Curve(self.steps[::-1], self.values[::-1])

    def then(self, other: Curve) -> Curve:
        """Return both in a row; with one of them backwards, that is the outline of a strip."""
        return Curve(np.concatenate((self.steps, other.steps)), np.concatenate((self.values, other.values)))


def curve(steps: ArrayLike, values: ArrayLike) -> Curve:
    """Return the points whose value was measured and is finite."""
    at, found = np.asarray(steps, np.int64), np.asarray(values, np.float64)
    known = np.isfinite(found)
    return Curve(at[known], found[known])


def over_seeds(seeds: Sequence[Curve], share: float, least: int = 1) -> Curve:
    """Return the value below which a share of the seeds lies, between neighbours in proportion: 0.5 is the median.

    Args:
        seeds: one curve each, at least one.
        share: in [0, 1].
        least: seeds that must have a step.

    Example:
        >>> short, long = curve([1], [0.0]), curve([1, 2], [2.0, 5.0])
        >>> [column.tolist() for column in over_seeds([short, short, long], 0.75)]
        [[1, 2], [1.0, 5.0]]
    """
    steps = np.unique(np.concatenate([seed.steps for seed in seeds]))
    table = np.full((len(seeds), len(steps)), np.inf)  # seeds without a step are sorted behind those that have it
    for row, seed in zip(table, seeds, strict=True):
        row[np.searchsorted(steps, seed.steps)] = seed.values
    table.sort(axis=0)
    counts = np.isfinite(table).sum(axis=0)
    place = share * (counts - 1)
    low = place.astype(np.int64)
    columns = np.arange(len(steps))
    below, above = table[low, columns], table[np.minimum(low + 1, counts - 1), columns]
    enough = counts >= least
    return Curve(steps[enough], (below + (place - low) * (above - below))[enough])


def smoothed(it: Curve, window: int) -> Curve:
    """Return centred running means; at both ends, of the half window there is."""
    sums = np.concatenate(([0.0], np.cumsum(it.values)))
    at, half = np.arange(len(it.values)), window // 2
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(at))
    return Curve(it.steps, (sums[high] - sums[low]) / (high - low))


def thinned(it: Curve, limit: int = 1500) -> Curve:
    """Return at most about `limit` points: the ends, and the least and greatest of each of `limit // 2` buckets.

    Example:
        >>> [column.tolist() for column in thinned(curve(range(10), [0] * 7 + [1] + [0] * 2), limit=4)]
        [[0, 5, 7, 9], [0.0, 0.0, 1.0, 0.0]]
    """
    count = len(it.steps)
    if count <= limit:
        return it
    buckets = max(1, limit // 2)
    kept = {0, count - 1}
    for start, end in itertools.pairwise(index * count // buckets for index in range(buckets + 1)):
        bucket = it.values[start:end]
        kept |= {start + int(bucket.argmin()), start + int(bucket.argmax())}
    chosen = sorted(kept)
    return Curve(it.steps[chosen], it.values[chosen])


def corners(it: Curve) -> Curve:
    """Return the points at which it changes: the edges of a band hardly ever move."""
    same = it.values[1:] == it.values[:-1]
    kept = ~np.concatenate(([False], same[1:] & same[:-1], [False]))[: len(it.steps)]
    return Curve(it.steps[kept], it.values[kept])


def packed(it: Curve) -> dict[str, Any]:
    """Return the coordinates in four digits; of the steps the first, and the distance or distances of the others.

    Example:
        >>> packed(curve([1, 2, 3], [0.5, 0.25, 0.0])), packed(curve([1, 2, 40], [0.5, 0.25, 0.0]))
        ({'x0': 1, 'dx': 1, 'y': [0.5, 0.25, 0.0]}, {'x0': 1, 'gaps': [1, 38], 'y': [0.5, 0.25, 0.0]})
    """
    gaps = np.diff(it.steps).tolist()
    even = {"dx": gaps[0]} if len(set(gaps)) == 1 else {"gaps": gaps}
    return {"x0": int(it.steps[0]), **even, "y": [float(f"{y:.4g}") for y in it.values.tolist()]}


def unpacked(line: dict[str, Any]) -> list[tuple[float, float]]:
    """Return the points of a packed line.

    Example:
        >>> unpacked(packed(curve([1, 2, 40], [0.5, 0.25, 0.0])))
        [(1, 0.5), (2, 0.25), (40, 0.0)]
    """
    gaps = line["gaps"] if "gaps" in line else [line["dx"]] * (len(line["y"]) - 1)
    return list(zip(itertools.accumulate(gaps, initial=line["x0"]), line["y"], strict=True))
