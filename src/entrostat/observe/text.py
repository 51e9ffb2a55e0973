"""How values and foreign text are written for readers: in a terminal, in a sentence, on a page."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from entrostat.observe.analysis.statistics import Estimate

ABSENT = "\N{EN DASH}"
"""Stands for a value that was not measured."""
PLUS_MINUS = "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}"
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_STACK = 2  # combining marks in a row that living languages use; more is a tower drawn over the neighbouring lines


def visible(text: str, *, limit: int = 2000) -> str:
    """Return text in which no character is invisible, turns the writing direction or leaves its line.

    Example:
        >>> visible("a\\u202eb\\x00")
        'a⟨U+202E⟩b⟨U+0000⟩'
        >>> visible("long", limit=2)
        'lo… (2 more characters)'
    """
    rest = len(text) - limit
    if rest > 0:
        return f"{visible(text[:limit], limit=limit)}… ({rest:,} more characters)"
    if text.isascii() and text.isprintable():  # nearly all text there is, and the loop below is slow
        return text
    shown: list[str] = []
    stacked = 0
    for char in text:
        category = unicodedata.category(char)
        stacked = stacked + 1 if category in ("Mn", "Me") else 0
        hidden = (category in _INVISIBLE and char != "\n") or stacked > _STACK
        shown.append(f"⟨U+{ord(char):04X}⟩" if hidden else char)
    return "".join(shown)


def label(text: str, *, limit: int = 48) -> str:
    """Return a recipe's name, cut to a length that fits a line, with no invisible character.

    Example:
        >>> label("abcdef", limit=4)
        'abc…'
    """
    return visible(text if len(text) <= limit else text[: limit - 1] + "…")


def number(value: float | None) -> str:
    """Return a value with three digits; a dash for None.

    Example:
        >>> number(0.3514), number(12.34), number(0.00042), number(None) == ABSENT
        ('0.351', '12.3', '0.00042', True)
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    if abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:,.{min(3, max(0, 2 - math.floor(math.log10(abs(value)))))}f}"


def percent(value: float | None) -> str:
    """Return a share in percent.

    Example:
        >>> percent(0.5784), percent(0.0042), percent(1.0), percent(0.0), percent(1e-7)
        ('57.8%', '0.42%', '100%', '0%', '<0.001%')
    """
    return ABSENT if value is None or not math.isfinite(value) else f"{_hundredths(value)}%"


def _hundredths(value: float) -> str:
    scaled = 100 * value
    if scaled == 0 or scaled == 100:
        return f"{scaled:.0f}"
    if 0 < scaled < 0.001:
        return "<0.001"
    return f"{scaled:.1f}" if abs(scaled) >= 1 else f"{scaled:.2g}"


def with_interval(found: Estimate | None, *, share: bool = False) -> str:
    """Return a mean over seeds with its interval, if it has one.

    Example:
        >>> with_interval(Estimate(0.578, 0.0051, 3), share=True) == f"57.8{PLUS_MINUS}0.5%"
        True
        >>> with_interval(Estimate(0.0012, 0.6075, 3)) == f"0.00{PLUS_MINUS}0.61"
        True
        >>> with_interval(Estimate(0.094, None, 1))
        '0.094'
    """
    if found is None:
        return ABSENT
    scale, unit = (100, "%") if share else (1, "")
    middle = _hundredths(found.mean) if share else number(found.mean)
    if found.half is None:
        return middle + unit
    half = scale * found.half
    if "e" not in middle and (decimals := _decimals(half)) < len(middle.partition(".")[2]):
        middle = f"{scale * found.mean:,.{decimals}f}"
    return f"{middle}{PLUS_MINUS}{_half(half, middle)}{unit}"


def _decimals(half: float) -> int:
    # An interval is read to two digits, and its mean is not known better than that.
    if half == 0 or not math.isfinite(half):
        return 9
    return max(0, (1 if half < 1 else 2) - math.floor(math.log10(half)))


def _half(value: float, middle: str) -> str:
    # As many decimals as the mean has, unless that would show an interval as zero.
    decimals = len(middle.partition(".")[2]) if "e" not in middle else 0
    text = f"{value:,.{decimals}f}"
    return text if value == 0 or float(text.replace(",", "")) else f"{value:.1g}"


def duration(seconds: float | None) -> str:
    """Return a time in the two largest units.

    Example:
        >>> duration(75.4), duration(3720), duration(4.24)
        ('1 min 15 s', '1 h 2 min', '4.2 s')
    """
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def listed(items: Sequence[str], *, most: int = 1000) -> str:
    """Return a list in words, of the first items if there are more than `most`.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], most=2)
        ('a, b and c', 'a, b and 2 more')
    """
    if len(items) > most:
        items = [*items[:most], f"{len(items) - most} more"]
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1] if items else ""


def signed(found: Estimate, *, share: bool) -> str:
    """Return a difference with its sign and its interval; a difference of shares in percentage points.

    Example:
        >>> signed(Estimate(0.031, None, 1), share=True), signed(Estimate(-0.2, None, 1), share=False)
        ('+3.1', '−0.200')
    """
    text = with_interval(found, share=share).removesuffix("%")
    return f"+{text}" if found.mean > 0 else text.replace("-", "\N{MINUS SIGN}", 1)
