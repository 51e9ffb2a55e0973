"""A value against its band, in nine cells."""

from __future__ import annotations

import math
from typing import Literal

Place = Literal["below", "in", "above"]
_INNER = 3  # cells between the brackets
_OUTER = 2  # cells on either side of them


def place(value: float, low: float, high: float) -> Place:
    """Return where a value lies; the edges belong to the band.

    Example:
        >>> place(0.2, 0.2, 0.4), place(0.41, 0.2, 0.4)
        ('in', 'above')
    """
    return "below" if value < low else "above" if value > high else "in"


def gauge(value: float, low: float, high: float, *, plain: bool = False) -> str:
    """Return the band in brackets with a mark where the value is.

    Outside, the nearer cell stands for less than half a band's width away, the outer one for more.

    Args:
        value: what is shown; one that is not finite leaves the gauge without a mark.
        low: lower edge of the band.
        high: upper edge.
        plain: ASCII alone.

    Example:
        >>> gauge(0.3, 0.2, 0.4), gauge(0.15, 0.2, 0.4), gauge(0.9, 0.2, 0.4)
        ('╌╌[╌●╌]╌╌', '╌●[╌╌╌]╌╌', '╌╌[╌╌╌]╌●')
        >>> gauge(0.4, 0.2, 0.4, plain=True)
        '--[--o]--'
    """
    dash, mark = ("-", "o") if plain else ("╌", "●")
    cells = [*dash * _OUTER, "[", *dash * _INNER, "]", *dash * _OUTER]
    if math.isfinite(value):
        cells[_cell(value, low, high)] = mark
    return "".join(cells)


def _cell(value: float, low: float, high: float) -> int:
    width = high - low
    match place(value, low, high):
        case "below":
            return 1 if low - value < width / 2 else 0
        case "above":
            return _OUTER + _INNER + 2 + (0 if value - high < width / 2 else 1)
        case "in":
            share = (value - low) / width if width > 0 else 0.5
            return _OUTER + 1 + min(_INNER - 1, int(share * _INNER))
