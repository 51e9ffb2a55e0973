"""Makes drawable lines of step series: thinned so that no spike is lost, packed so that the page stays small."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

Point = tuple[int, float]


def thinned(points: Sequence[Point], limit: int = 1500) -> list[Point]:
    """Return at most about `limit` points: the ends, and the least and greatest of each of `limit // 2` buckets.

    Example:
        >>> thinned([(step, float(step == 7)) for step in range(10)], limit=4)
        [(0, 0.0), (5, 0.0), (7, 1.0), (9, 0.0)]
    """
    if len(points) <= limit:
        return list(points)
    buckets, height = max(1, limit // 2), [y for _, y in points].__getitem__
    kept = {0, len(points) - 1}
    for number in range(buckets):
        bucket = range(number * len(points) // buckets, (number + 1) * len(points) // buckets)
        kept.add(min(bucket, key=height))
        kept.add(max(bucket, key=height))
    return [points[i] for i in sorted(kept)]


def packed(points: Sequence[Point]) -> dict[str, Any]:
    """Return the coordinates in four digits; of the steps the first, and the distance or distances of the others.

    Example:
        >>> packed([(1, 0.5), (2, 0.25), (3, 0.0)]), packed([(1, 0.5), (2, 0.25), (40, 0.0)])
        ({'x0': 1, 'dx': 1, 'y': [0.5, 0.25, 0.0]}, {'x0': 1, 'gaps': [1, 38], 'y': [0.5, 0.25, 0.0]})
    """
    xs, ys = [x for x, _ in points], [float(f"{y:.4g}") for _, y in points]
    gaps = [b - a for a, b in itertools.pairwise(xs)]
    even = {"dx": gaps[0]} if len(set(gaps)) == 1 else {"gaps": gaps}
    return {"x0": xs[0], **even, "y": ys}


def unpacked(line: dict[str, Any]) -> list[tuple[float, float]]:
    """Return the points of a packed line.

    Example:
        >>> unpacked(packed([(1, 0.5), (2, 0.25), (40, 0.0)]))
        [(1, 0.5), (2, 0.25), (40, 0.0)]
    """
    gaps = line["gaps"] if "gaps" in line else [line["dx"]] * (len(line["y"]) - 1)
    return list(zip(itertools.accumulate(gaps, initial=line["x0"]), line["y"], strict=True))


def outline(low: Sequence[Point], high: Sequence[Point]) -> list[Point]:
    """Return the polygon of a band: along its lower edge and back along the upper one."""
    return [*_corners(low), *reversed(_corners(high))]


def _corners(points: Sequence[Point]) -> list[Point]:
    # Edges hardly ever move: two equal neighbours say all about the points between them.
    last = len(points) - 1
    return [
        point
        for i, point in enumerate(points)
        if i in (0, last) or not (points[i - 1][1] == point[1] == points[i + 1][1])
    ]
