"""CISPO: the ratio is a bounded weight, and no token is dropped."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.edits import ClippedWeight
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "advantages, ratio"
PAPER = Paper(
    title="MiniMax-M1: Scaling Test-Time Compute Efficiently with Lightning Attention",
    authors="MiniMax",
    year=2025,
    url="https://arxiv.org/abs/2506.13585",
    bibtex="""@article{minimax2025m1,
  title   = {{MiniMax-M1}: Scaling Test-Time Compute Efficiently with Lightning Attention},
  author  = {{MiniMax}},
  journal = {arXiv preprint arXiv:2506.13585},
  year    = {2025}
}""",
)


def cispo(*, high: float, low: float = 1.0) -> Recipe:
    """CISPO's clipped importance weights on the host's own loss.

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

    Returns:
        The recipe.

    Raises:
        ValueError: `low` outside [0, 1], or `high` below 0.

    Reference:
        MiniMax, "MiniMax-M1", arXiv 2506.13585.

    Example:
        >>> cispo(high=4.0).edits
        (ClippedWeight(low=1.0, high=4.0),)
    """
    return Recipe(
        name="cispo",
        summary="The clipped ratio weighs each token's gradient, and none is dropped (CISPO).",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=(ClippedWeight(low=low, high=high),),
        needs=frozenset({"old_logprobs"}),
        ratio_only=True,
        paper=PAPER,
        parameters={"high": high, "low": low},
    )
