"""Plain numbers, read exactly: most answers are one, and need no computer algebra."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_DIGITS: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})"
_PLAIN: Final = re.compile(rf"([-+]?){_DIGITS}(?:\.[0-9]{{1,30}})?", re.ASCII)
_RATIO: Final = re.compile(r"([-+]?)([0-9]{1,30})\s*/\s*([0-9]{1,30})", re.ASCII)
_FRAC: Final = re.compile(r"([-+]?)\\[dt]?frac\s*\{([0-9]{1,30})\}\s*\{([0-9]{1,30})\}", re.ASCII)


def number(text: str) -> Fraction | None:
    r"""Return the value of a plain number or fraction of integers, or `None` for anything else.

    Example:
        >>> number("1,200.50"), number(r"-\frac{3}{6}"), number("2^3")
        (Fraction(2401, 2), Fraction(-1, 2), None)
    """
    text = text.strip().strip("$").strip()
    if len(text) > 100:
        return None
    if _PLAIN.fullmatch(text):
        return Fraction(text.replace(",", ""))
    ratio = _RATIO.fullmatch(text) or _FRAC.fullmatch(text)
    if ratio is None or int(ratio[3]) == 0:
        return None
    value = Fraction(int(ratio[2]), int(ratio[3]))
    return -value if ratio[1] == "-" else value
