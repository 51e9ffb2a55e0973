from __future__ import annotations

from entrostat.edits import ClipBounds
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="clip bounds", paper="yu2025dapo", needs={"old_logprobs"}, ratio_only=True)
def clip_higher(*, low: float = 0.2, high: float = 0.28) -> Recipe:
    """DAPO's clip-higher: clip bounds with more room above 1 than below.

        min(r A, clip(r, 1 - low, 1 + high) A)

    A token of probability p may reach p (1 + high) before its gradient stops; with high = low rare tokens hardly move.

    How sure: high. Bounds and defaults are the paper's, and TRL's and verl's implementations agree.

    Args:
        low: how far the ratio may fall below 1.
        high: how far it may rise above 1.

    Raises:
        ValueError: a negative bound, or `low` above 1.

    Reference:
        Yu et al., "DAPO", arXiv 2503.14476, section 3.1.

    Example:
        >>> clip_higher().edits
        (ClipBounds(low=0.2, high=0.28),)
    """
    return Recipe(edits=(ClipBounds(low=low, high=high),))
