"""Claims of the lab: a statement, its check, and the outcome as figures and plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

VerdictWord = Literal["holds", "does not hold", "not tested"]
Topic = Literal["theory", "toy", "classical"]


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
    """The result of a check."""

    verdict: VerdictWord
    figures: Mapping[str, float | str]
    """Measured figures by name, in the order in which they should be read."""
    seeds: tuple[int, ...] = ()
    plots: tuple[Plot, ...] = ()
    remarks: str = ""
    """The setting, how much the verdict depends on it, and anything that was not tested."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement that can be checked on a problem small enough to be exact; written with the decorator `claim`.

    Args:
        name: its name on the command line, which is the name of its function.
        statement: one sentence that the outcome can contradict.
        source: the paper or note it comes from, and how sure we are of it.
        check: runs the check; `quick` asks for a reduced one of a few seconds.
        topic: `theory`, `toy` or `classical`.
    """

    name: str
    statement: str
    source: str
    check: Callable[[bool], Outcome] = field(repr=False)
    topic: Topic


def claim(topic: Topic, *, source: str) -> Callable[[Callable[[bool], Outcome]], Claim]:
    """Make a claim of the function that checks it: its name is the claim's name, its docstring the statement.

    Args:
        topic: the chapter of the page it belongs to.
        source: the paper or note it comes from, and how sure we are of it.
    """

    def wrap(check: Callable[[bool], Outcome]) -> Claim:
        statement = " ".join((check.__doc__ or "").split())
        return Claim(name=check.__name__, statement=statement, source=source, check=check, topic=topic)

    return wrap


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A claim, the outcome of its check, and how long that took."""

    claim: Claim
    outcome: Outcome
    seconds: float

    @property
    def line(self) -> str:
        """One line: verdict, name, figures."""
        figures = ", ".join(f"{name} {figure_text(value)}" for name, value in self.outcome.figures.items())
        return f"{self.outcome.verdict:<14} {self.claim.name} ({self.seconds:.1f} s): {figures}"


def figure_text(value: float | str) -> str:
    """Write a figure with four significant digits, a whole number in full.

    Example:
        >>> figure_text(0.123456), figure_text(100000.0), figure_text("none")
        ('0.1235', '100000', 'none')
    """
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e9 else f"{value:.4g}"
