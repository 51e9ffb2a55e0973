from __future__ import annotations

from entrostat.edits import ClipBounds, DualClip, Edit, PreservedGradient
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
    return Recipe(edits=preserving(beta_low, beta_high, low, high, dual_clip))  # fmt: skip


def preserving(beta_low: float, beta_high: float, low: float, high: float, dual_clip: float | None) -> tuple[Edit, ...]:
    """Return the edits of a gradient-preserving clip."""
    edits = (ClipBounds(low=low, high=high), PreservedGradient(low=beta_low, high=beta_high))
    return edits if dual_clip is None else (*edits, DualClip(limit=dual_clip))
