from __future__ import annotations

from entrostat.edits import ClippedWeight
from entrostat.recipes._base import Recipe, recipe


@recipe(
    acts_on="advantages, ratio",
    paper="minimax2025m1",
    needs={"old_logprobs"},
    ratio_only=True,
    embedded={"parameters": {"high": 0.2}},
)
def cispo(*, high: float, low: float = 1.0) -> Recipe:
    """CISPO: the clipped ratio weights each token's gradient, and no token is dropped.

        L = -mean_t [sg(clip(r_t, 1 - low, 1 + high)) A_t log pi_t]

    in gradient; the host computes it as its ratio `pi / sg(pi)` times the weighted advantage, so its logged loss is
    `-mean [clip(r) A]`, and its log shows nothing clipped. The paper's mean is over all tokens of the step (TRL:
    `loss_type="dapo"`).

    How sure: high for the formula, which the paper and two implementations share. `high` has no default: MiniMax-M1
    tuned it and does not give it. TRL's `loss_type="cispo"` takes the cap itself and recommends 5 (here `high=4`); verl
    clamps on both sides with 0.2, which is not the paper's setting.

    Args:
        high: the weight is at most `1 + high`.
        low: the weight is at least `1 - low`; 1 for no lower bound, as in the paper. With a lower bound, tokens that
            lost probability weigh more than their ratio.

    Raises:
        ValueError: `low` outside [0, 1], or `high` below 0.

    Reference:
        MiniMax, "MiniMax-M1", arXiv 2506.13585.

    Example:
        >>> cispo(high=4.0).edits
        (ClippedWeight(low=1.0, high=4.0),)
    """
    return Recipe(edits=(ClippedWeight(low=low, high=high),))
