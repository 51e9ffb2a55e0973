"""Gradient-preserving clips, of the same authors: tokens beyond the clip bounds keep a gradient."""

from __future__ import annotations

from typing import Literal

from entrostat.edits import ClipBounds, DualClip, Edit, EntropyRatioMask, PreservedGradient
from entrostat.errors import unknown_name
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="ratio", paper="su2025cegppo", needs={"old_logprobs"}, ratio_only=True)
def ce_gppo(
    *,
    beta_low: float = 0.5,
    beta_high: float = 1.0,
    low: float = 0.2,
    high: float = 0.2,
    dual_clip: float | None = None,
) -> Recipe:
    """CE-GPPO: tokens beyond the clip bounds keep a bounded gradient, weighted per side.

        gradient of the objective at a token: F A grad log pi, averaged as the host averages
        F = beta_low (1 - low)      A < 0, r < 1 - low
            beta_high (1 + high)    A > 0, r > 1 + high
            r                       otherwise

    The default factors are those that the paper recommends generally. Written as an edit of the ratio, so the logged
    loss of a token is `-F A`: the paper's objective under any averaging (the paper's is over all tokens, TRL's
    `loss_type="dapo"`). The host's log shows none of these tokens as clipped.

    How sure: high. Equation and code agree, but for two things. The published code clips once more: for A < 0 and r
    above a limit the gradient is zero, which equation 8 does not have; `dual_clip=10` reproduces its recipes. And
    section 3.2 of the paper swaps the two factors; equation, section 5.1 and code have them as here. The factors differ
    between the published recipes: (0.5, 1), (0.75, 1) on 7B, (0.25, 1) as the code's own default.

    Args:
        beta_low: factor below the lower bound: raising it makes entropy fall faster. 0 for PPO's.
        beta_high: factor above the upper bound: raising it makes entropy fall slower. 0 for PPO's.
        low: how far the ratio may fall below 1.
        high: how far it may rise above 1.
        dual_clip: ratio above which a token with A < 0 has no gradient; None for no such limit.

    Raises:
        ValueError: a negative factor or bound, `low` above 1, or `dual_clip` below 1.

    Reference:
        Su et al., "CE-GPPO", arXiv 2509.20712, equation 8.

    Example:
        >>> ce_gppo().edits
        (ClipBounds(low=0.2, high=0.2), PreservedGradient(low=0.5, high=1.0))
    """
    return Recipe(edits=_preserving(beta_low, beta_high, low, high, dual_clip))


@recipe(acts_on="ratio", paper="su2025klear", needs={"old_logprobs"}, ratio_only=True)
def gppo(*, low: float = 0.2, high: float = 0.2, dual_clip: float | None = None) -> Recipe:
    """GPPO: tokens beyond the clip bounds keep the gradient of the bound.

        min(r A, clip(r, (1 - low) r/sg(r), (1 + high) r/sg(r)) A)

    This is CE-GPPO with both factors 1. A token beyond the lower bound has the gradient `(1 - low) A grad log pi`, one
    beyond the upper bound `(1 + high) A grad log pi`.

    How sure: high for the formula. The bounds are those of CE-GPPO's runs, by the same authors; GPPO's own were not
    read.

    Args:
        low: how far the ratio may fall below 1 before its weight stops falling.
        high: how far it may rise above 1 before its weight stops rising.
        dual_clip: ratio above which a token with A < 0 has no gradient, as the published code has it; None for no
            limit.

    Raises:
        ValueError: a negative bound, `low` above 1, or `dual_clip` below 1.

    Reference:
        Su et al., "Klear-Reasoner", arXiv 2508.07629.

    Example:
        >>> gppo().edits
        (ClipBounds(low=0.2, high=0.2), PreservedGradient(low=1.0, high=1.0))
    """
    return Recipe(edits=_preserving(1.0, 1.0, low, high, dual_clip))


@recipe(acts_on="gradient mask", paper="su2025entropy", needs={"old_logprobs", "old_entropy"}, ratio_only=True)
def erc(
    *,
    low: float = 0.05,
    high: float = 0.05,
    base: Literal["dapo", "gppo"] = "dapo",
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    dual_clip: float | None = 10.0,
    offset: float = 1e-8,
) -> Recipe:
    """ERC: tokens whose entropy left a band around its old value carry no gradient.

        q_t = (H_t + offset) / (H_old,t + offset)
        a token keeps its gradient iff  1 - low < q_t < 1 + high; else its loss is a constant of the same value

    It works on top of DAPO's or GPPO's clip; the bounds are those of the published recipes. The denominators stay. The
    host's log counts these tokens among its clipped ones.

    How sure: high for the mechanism (official code), medium for the figures reported of it. The recipes have a band of
    0.95 to 1.05, the code's own default is 0.8 to 1.2. A circulating description as a quadratic penalty is wrong.

    Args:
        low: how far the entropy ratio may fall below 1.
        high: how far it may rise above 1.
        base: `"dapo"` for the clip as it is, `"gppo"` for one that keeps the gradient of its bounds.
        clip_low: how far the probability ratio may fall below 1.
        clip_high: how far it may rise above 1.
        dual_clip: ratio above which a token with A < 0 has no gradient, part of the published base; None for no limit.
        offset: added to both entropies, nats. Tokens much more certain than it never count as moved; raise it if
            rounding in nearly certain tokens fills the mask.

    Raises:
        ValueError: a bound out of range, or an unknown base.

    Reference:
        Su et al., "Entropy Ratio Clipping", arXiv 2512.05591.

    Example:
        >>> erc().edits[-1]
        EntropyRatioMask(low=0.05, high=0.05, offset=1e-08)
    """
    if base not in ("dapo", "gppo"):
        raise unknown_name("base", base, ("dapo", "gppo"))
    # DAPO's clip is GPPO's with nothing preserved.
    kept = 1.0 if base == "gppo" else 0.0
    moved = EntropyRatioMask(low=low, high=high, offset=offset)
    return Recipe(edits=(*_preserving(kept, kept, clip_low, clip_high, dual_clip), moved))


def _preserving(
    beta_low: float, beta_high: float, low: float, high: float, dual_clip: float | None
) -> tuple[Edit, ...]:
    """Return the edits of a gradient-preserving clip."""
    edits = (ClipBounds(low=low, high=high), PreservedGradient(low=beta_low, high=beta_high))
    return edits if dual_clip is None else (*edits, DualClip(limit=dual_clip))
