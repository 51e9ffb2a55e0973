r"""Where the answer stands in a text, by scanning: the last `\boxed{}`, what follows a marker, the last number."""

from __future__ import annotations

import re
from typing import Final

MAX_CHARACTERS: Final = 400
"""Longest answer; what is longer is none."""
_TAIL: Final = 400
"""Characters at the end of a text in which a plain number is looked for."""
_OPEN: Final = re.compile(r"\\(?:boxed|fbox)\s*\{")
_NUMBER: Final = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?(?:/[0-9]+)?")


def boxed(text: str) -> str | None:
    r"""Return what stands in the last `\boxed{}` of a text, or `None` if there is none that closes.

    Example:
        >>> boxed(r"so \boxed{1} or rather \boxed{\frac{1}{2}}.")
        '\\frac{1}{2}'
        >>> boxed(r"\boxed{1") is None
        True
    """
    opened = [found.end() for found in _OPEN.finditer(text)]
    if not opened:
        return None
    start = opened[-1]
    depth = 1
    for place in range(start, min(len(text), start + MAX_CHARACTERS + 1)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place].strip()
    return None


def after_marker(text: str, marker: str) -> str | None:
    """Return the rest of the line after the last `marker`, or `None` if there is none.

    Example:
        >>> after_marker("6 * 7 = 42\\n#### 42", "####")
        '42'
    """
    _, found, rest = text.rpartition(marker)
    line = rest.strip().partition("\n")[0].strip()
    return line if found and 0 < len(line) <= MAX_CHARACTERS else None


def final_answer(text: str) -> str | None:
    r"""Return a response's answer: its last `\boxed{}`, else what follows its last `####`, else its last number.

    Example:
        >>> final_answer(r"Hence \boxed{x = 3}."), final_answer("#### 42"), final_answer("That makes 1,200 in all.")
        ('x = 3', '42', '1,200')
        >>> final_answer("I do not know.") is None
        True
    """
    found = boxed(text) or after_marker(text, "####")
    if found is not None:
        return found
    numbers = _NUMBER.findall(text[-_TAIL:])
    return numbers[-1].rstrip(",") if numbers else None
