"""Settings to start with, made from measurements, each with its reason in words."""

from __future__ import annotations

import dataclasses

from entrostat.observe.analysis.findings import BAND_HIGH, BAND_LOW, INERT_MASS, INERT_SHARE
from entrostat.observe.calibrate._measure import Measured, Push
from entrostat.observe.text import number, percent

# The clamp of AEnt's MATH run.
PUBLISHED = 0.33
# Probability and share of the entropy that a proposed clamp must keep at least, on average.
MASS, ENTROPY = 0.99, 0.9
# Shares of the policy gradient for the coefficient to start at and for its ceiling.
INITIAL, CEILING = 0.05, 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """Settings to start with."""

    keep: int | None
    """Likeliest tokens to keep; None where no clamp is proposed."""
    low: float
    high: float
    initial: float
    floor: float
    ceiling: float
    python: str
    """The recipe as an expression, with `import entrostat as es`."""
    reasons: list[str]


def clamp_count(measured: Measured) -> int | None:
    """Return the least number of tokens that keeps nearly all probability and most entropy."""
    whole = measured.by_count[measured.vocabulary].entropy
    fits = (count for count, kept in measured.by_count.items() if kept.mass >= MASS and kept.entropy >= ENTROPY * whole)
    count = min(fits)
    return count if count <= measured.vocabulary // 2 else None


def propose(measured: Measured, push: Push, *, responses: int, start: float) -> Proposal:
    """Return settings and reasons; `push` is measured with the proposed clamp, `start` is the mean full entropy."""
    keep = clamp_count(measured)
    base = start if keep is None else measured.by_count[keep].entropy
    low, high = _round(BAND_LOW * base), _round(BAND_HIGH * base)
    initial, ceiling = _round(push.coef(INITIAL)), _round(push.coef(CEILING))
    clamp = "clamp=0.0" if keep is None else f"keep={keep}"
    return Proposal(
        keep=keep,
        low=low,
        high=high,
        initial=initial,
        floor=0.0,
        ceiling=ceiling,
        python=(
            f"es.recipes.aent({clamp}, low={low:g}, high={high:g}, initial={initial:g}, rate={initial:g}, floor=0.0, "
            f"ceiling={ceiling:g})"
        ),
        reasons=[
            _band_reason(base, low, high),
            _clamp_reason(measured, keep, start),
            _coefficient_reason(push, responses, initial, ceiling),
        ],
    )


def _round(value: float) -> float:
    return float(f"{value:.2g}")


def _band_reason(base: float, low: float, high: float) -> str:
    return (
        f"Band: {low:g} to {high:g} nats, which is {BAND_LOW:.0%} to {BAND_HIGH:.0%} of the model's {number(base)} "
        "nats under the proposed clamp. The upper edge lies below the start, so that the policy can first learn "
        "without a bonus; the lower edge leaves enough entropy to explore with. These shares did best in a sweep on "
        "the embedded model; move both up if you need more diversity."
    )


def _clamp_reason(measured: Measured, keep: int | None, start: float) -> str:
    published = measured.by_share[PUBLISHED]
    removed = max(0.0, 1 - published.entropy / start)
    inert = 1 - published.mass < INERT_MASS and removed < INERT_SHARE
    text = (
        f"Clamp: AEnt's published share of {PUBLISHED:g} would remove {percent(1 - published.mass)} of the probability "
        f"and {percent(removed)} of the entropy, so on this model it {'would be inert' if inert else 'has an effect'}. "
    )
    if keep is None:
        return text + "No smaller set of tokens holds nearly all probability, so no clamp is proposed."
    kept = measured.by_count[keep]
    return text + (
        f"The {keep} likeliest of {measured.vocabulary:,} tokens hold {percent(kept.mass)} of the probability and "
        f"{percent(kept.entropy / start)} of the entropy: with keep={keep} a bonus pays for choosing among plausible "
        "tokens and cannot raise the rest."
    )


def _coefficient_reason(push: Push, responses: int, initial: float, ceiling: float) -> str:
    where = "the whole model" if push.through == "model" else "the weights of the head only"
    against = "the policy gradient of these rollouts"
    if push.signed:
        against = (
            "the log-likelihood gradient with random signs as advantages (there are no rewards that differ within a "
            "group)"
        )
    return (
        f"Coefficient: start at {initial:g}, where the bonus's gradient is {INITIAL:.0%} of {against}, measured "
        f"through {where}; ceiling {ceiling:g} ({CEILING:.0%}). On the embedded model (two seeds each) a constant "
        "of 3% let the entropy fall to a third, one of 6% held half of it, and one of 12% made it explode. Measured on "
        f"{responses} responses: the policy gradient is mostly noise, which falls with the square root of their "
        "number, so with four times as many responses in a step the share may double, and with a quarter it may halve."
    )
