"""A calibration as one HTML page that needs nothing but itself: no script, the template draws the plots as SVG."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from entrostat.observe.calibrate._calibration import Calibration
from entrostat.observe.calibrate._propose import CEILING, INITIAL, PUBLISHED
from entrostat.observe.html import ARTICLE, THEME, render, round_values
from entrostat.observe.html import write_page as write
from entrostat.observe.text import number, percent

_HERE = Path(__file__).parent
Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis: its title, its range, and how its values are written."""

    title: str
    low: float
    high: float
    log: bool = False
    share: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high one."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        return min(1.0, (at - low) / (high - low))

    def ticks(self) -> list[float]:
        """Return four to seven round values."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            step = max(1, (last - first) // 5)
            found = [10.0**power for power in range(first, last + 1, step)]
            return [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
        return round_values(self.low, self.high, 5)

    def text(self, value: float) -> str:
        """Return a value as written at a tick."""
        return percent(value).replace(".0%", "%") if self.share else f"{value:,.6g}"


@dataclasses.dataclass(frozen=True)
class Mark:
    """A value of x worth a line."""

    x: float
    text: str
    strong: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """One plot with its place: it lies between `left`, `right`, `top` and `bottom` of its picture."""

    key: str
    title: str
    note: str
    x: Axis
    y: Axis
    points: Sequence[Point]
    bars: float = 0.0
    """Width of a bar in x; 0 draws a line."""
    marks: Sequence[Mark] = ()
    stretch: tuple[float, float] | None = None
    """Shaded, from one x to another."""
    width: int = 480
    height: int = 300
    left: int = 58
    right: int = 456
    top: int = 38
    bottom: int = 256

    def across(self, x: float) -> float:
        """Return where a value of x lies in the picture."""
        return self.left + (self.right - self.left) * self.x.place(x)

    def up(self, y: float) -> float:
        """Return where a value of y lies in the picture."""
        return self.bottom - (self.bottom - self.top) * self.y.place(y)

    def described(self) -> str:
        """Return the plot in a sentence, for those who do not see it."""
        write = percent if self.y.share else number
        first, last = self.points[0], self.points[-1]
        marks = "; ".join(f"{mark.text} at {number(mark.x)}" for mark in self.marks)
        return (
            f"{self.title}: {self.y.title} goes from {write(first[1])} at {number(first[0])} to {write(last[1])} at "
            f"{number(last[0])} of {self.x.title}." + (f" Marked: {marks}." if marks else "")
        )


def histogram(values: Sequence[float], bins: int = 32) -> tuple[list[Point], float]:
    """Return (left edge, share) of each bin, and the bins' width."""
    top = max(values) or 1.0
    width = top / bins
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(value / width))] += 1
    return [(i * width, count / len(values)) for i, count in enumerate(counts)], width


def write_page(found: Calibration, out: Path) -> Path:
    """Write a calibration as a self-contained page.

    Args:
        found: from `calibrate`.
        out: the file to write; its directory must exist.

    Returns:
        `out`.

    Raises:
        ValueError: it cannot be written.
        ImportError: jinja2 is not installed.
    """
    measured, keep = found.measured, found.proposal.keep
    shares = [(f"drop {share:.1%} of the vocabulary", kept, False) for share, kept in measured.by_share.items()]
    masses = [(f"keep {mass:.1%} of the probability", kept, False) for mass, kept in measured.by_mass.items()]
    reasons = [reason.partition(": ") for reason in found.proposal.reasons]
    page = render(
        _HERE / "page.html.j2",
        styles=[THEME, ARTICLE, _HERE / "page.css"],
        found=found,
        reasons=[(head, rest[:1].upper() + rest[1:]) for head, _, rest in reasons],
        charts=[_tokens(found), _push(found), _mass(found), _entropy(found)],
        shares=shares + masses,
        counts=[(f"keep {count:,} tokens", kept, count == keep) for count, kept in measured.by_count.items()],
    )
    return write(page, out)


def _tokens(found: Calibration) -> Chart:
    points, width = histogram(found.measured.entropies)
    top = max(share for _, share in points)
    return Chart(
        key="tokens",
        title="Where the entropy is",
        note=f"Share of the tokens by their entropy. The fifth with the most carries {percent(_carried(found))} of it.",
        x=Axis("entropy, nats", 0.0, points[-1][0] + width),
        y=Axis("share of the tokens", 0.0, top, share=True),
        points=points,
        bars=width,
        marks=[Mark(found.entropy, f"mean {number(found.entropy)}", strong=True)],
    )


def _carried(found: Calibration) -> float:
    values = sorted(found.measured.entropies, reverse=True)
    return sum(values[: max(1, len(values) // 5)]) / sum(values)


def _push(found: Calibration) -> Chart:
    push, proposal = found.push, found.proposal
    low, high = push.coef(0.003), push.coef(3.0)
    where = "the whole model" if push.through == "model" else "the head's weights"
    against = "a random-sign gradient" if push.signed else "the policy gradient"
    return Chart(
        key="push",
        title="How hard a coefficient pushes",
        note=f"Gradient of the bonus over {against}, through {where}. Shaded: from {INITIAL:.0%} to {CEILING:.0%}.",
        x=Axis("coefficient", low, high, log=True),
        y=Axis("share of the gradient", 0.003, 3.0, log=True, share=True),
        points=[(low, push.share(low)), (high, push.share(high))],
        marks=[
            Mark(proposal.initial, f"start {proposal.initial:g}", strong=True),
            Mark(proposal.ceiling, f"ceiling {proposal.ceiling:g}"),
        ],
        stretch=(proposal.initial, proposal.ceiling),
    )


def _mass(found: Calibration) -> Chart:
    lost = [(float(count), 1 - kept.mass) for count, kept in found.measured.by_count.items()]
    floor = max(1e-6, min(value for _, value in lost[:-1]) / 2)
    return Chart(
        key="mass",
        title="What a clamp takes away",
        note="Probability of the tokens a clamp drops, by the number of tokens it keeps.",
        x=_count_axis(found),
        y=Axis("dropped probability", floor, max(value for _, value in lost), log=True, share=True),
        points=[(count, max(value, floor)) for count, value in lost],
        marks=_clamp_marks(found),
    )


def _entropy(found: Calibration) -> Chart:
    points = [(float(count), kept.entropy) for count, kept in found.measured.by_count.items()]
    return Chart(
        key="entropy",
        title="Clamped entropy",
        note="The entropy that is left, in nats, by the number of tokens a clamp keeps.",
        x=_count_axis(found),
        y=Axis("clamped entropy", 0.0, max(value for _, value in points)),
        points=points,
        marks=_clamp_marks(found),
    )


def _count_axis(found: Calibration) -> Axis:
    return Axis("tokens kept", 2.0, float(found.measured.vocabulary), log=True)


def _clamp_marks(found: Calibration) -> list[Mark]:
    vocabulary, keep = found.measured.vocabulary, found.proposal.keep
    published = Mark(vocabulary - int(PUBLISHED * vocabulary), f"clamp={PUBLISHED:g}")
    return [published] if keep is None else [Mark(keep, f"keep={keep}", strong=True), published]
