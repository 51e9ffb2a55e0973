from __future__ import annotations

from entrostat.recipes._base import Recipe, recipe
from entrostat.recipes._ce_gppo import preserving


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
    return Recipe(edits=preserving(1.0, 1.0, low, high, dual_clip))
