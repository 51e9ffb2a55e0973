from __future__ import annotations

from typing import Literal

from entrostat.edits import EntropyRatioMask
from entrostat.errors import unknown_name
from entrostat.recipes._base import Recipe, recipe
from entrostat.recipes._ce_gppo import preserving


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
    return Recipe(edits=(
            *preserving(kept, kept, clip_low, clip_high, dual_clip),
            EntropyRatioMask(low=low, high=high, offset=offset),
        ))  # fmt: skip
