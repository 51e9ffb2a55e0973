"""A series in one line of text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

_BLOCKS, _PLAIN = "▁▂▃▄▅▆▇█", "_.-=+*#@"


def spark(values: Sequence[float], width: int, *, plain: bool = False) -> str:
    """Return bars between zero and the greatest value: a fall to a tenth looks like one.

    Args:
        values: the series, in order; what is not finite is left out.
        width: cells at most. A longer series is averaged into them, a shorter one takes one cell per value.
        plain: ASCII alone.

    Example:
        >>> spark([0.8, 0.6, 0.4, 0.2, 0.1], 5)
        '█▆▄▂▁'
        >>> spark([1.0, 3.0, 8.0, 8.0], 2)
        '▂█'
        >>> spark([], 4)
        ''
    """
    finite = [value for value in values if math.isfinite(value)]
    scale = max(map(abs, finite), default=0.0) or 1.0  # so that no sum is too large for a float
    means = _buckets([value / scale for value in finite], width)
    top = max(means, default=0.0)
    blocks = _PLAIN if plain else _BLOCKS
    return "".join(blocks[_level(value, top, len(blocks))] for value in means)


def _buckets(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    edges = [number * len(values) // width for number in range(width + 1)]
    return [fmean(values[start:end]) for start, end in itertools.pairwise(edges)]


def _level(value: float, top: float, levels: int) -> int:
    if top <= 0 or value <= 0:
        return 0
    return min(levels - 1, max(0, math.ceil(value / top * levels) - 1))
