"""What a claim of the lab is: a statement, how it is checked, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

VerdictWord = Literal["holds", "does not hold", "not tested"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line or set of points of a plot; `low` and `high`, if given, are the edges of its interval."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    points: bool = False
    """Draw points without a line."""
    reference: bool = False
    """Draw a dashed line: a bound or a closed form, not a measurement."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot as data; the page draws it."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a check of a claim measured."""

    verdict: VerdictWord
    figures: Mapping[str, float | str]
    """Measured figures by name, in the order in which they should be read."""
    seeds: tuple[int, ...] = ()
    plots: tuple[Plot, ...] = ()
    remarks: str = ""
    """What a reader must know to believe the verdict: setting, sensitivity, what was not tested."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement that can be checked on a problem small enough to be exact.

    Args:
        name: how it is called on the command line; the file's name.
        statement: one sentence that the outcome can contradict.
        source: the paper or note it comes from, and how sure we are of it.
        check: runs the check; `quick` asks for a reduced one of a few seconds.
        topic: `theory`, `toy` or `classical`.
    """

    name: str
    statement: str
    source: str
    check: Callable[[bool], Outcome] = field(repr=False)
    topic: Literal["theory", "toy", "classical"]
