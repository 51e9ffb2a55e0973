"""Entropy minimisation (EM-RL, EM-FT): train on the policy's own confidence, without labels."""

from __future__ import annotations

from typing import Literal, get_args

from entrostat.controllers import Constant
from entrostat.edits import ScaleAdvantage, SelfReward
from entrostat.errors import require, require_finite, unknown_name
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe
from entrostat.terms import ResponseEntropy

ACTS_ON = "rewards (replaced), or a loss term"
PAPER = Paper(
    title="The Unreasonable Effectiveness of Entropy Minimization in LLM Reasoning",
    authors="Shivam Agarwal and others",
    year=2025,
    url="https://arxiv.org/abs/2505.15134",
    bibtex="""@article{agarwal2025unreasonable,
  title   = {The Unreasonable Effectiveness of Entropy Minimization in {LLM} Reasoning},
  author  = {Agarwal, Shivam and others},
  journal = {arXiv preprint arXiv:2505.15134},
  year    = {2025}
}""",
)

Variant = Literal["sequence", "token", "ft"]


def em_rl(*, variant: Variant = "sequence", coef: float = 1.0) -> Recipe:
    """Entropy minimisation in its three forms. Entropy goes down; the host's reward is not used.

        "sequence"   R = sum_t log pi(y_t)       A = R - mean of the group's others
        "token"      R = -sum_t H_t              A likewise
        "ft"         L = coef (1/R) sum_b sum_t H_{b,t}, the gradient through H; no policy gradient

    Sums, not means: a longer response earns less, or weighs more.

    How sure: high, read in the paper's text. The paper adds a divergence to the base model at 0.001: set `beta` in the
    host for it.

    Args:
        variant: `"sequence"` and `"token"` are the paper's EM-RL, `"ft"` its EM-FT.
        coef: factor on the loss of `"ft"`, above 0; the paper has none, that is, 1.

    Returns:
        The recipe.

    Raises:
        ValueError: an unknown variant, a `coef` that is not positive, or one where there is no loss to scale.

    Reference:
        Agarwal et al., arXiv 2505.15134.

    Example:
        >>> em_rl(variant="ft").terms
        (ResponseEntropy(),)
    """
    if variant not in get_args(Variant):
        raise unknown_name("variant", variant, get_args(Variant))
    require(require_finite("coef", coef) > 0, "coef", "be positive", coef)
    tuning = variant == "ft"
    require(tuning or coef == 1, "coef", 'be left at 1 unless variant="ft"', coef)
    reward = SelfReward(reward="logprob" if variant == "sequence" else "sum_entropy", baseline="leave_one_out")
    return Recipe(
        name="em_rl",
        summary="Entropy minimisation: the policy's confidence is the reward, or its entropy the loss; no labels.",
        measure=Shannon(),
        controller=Constant(coef=coef if tuning else 0.0),
        terms=(ResponseEntropy(),) if tuning else (),
        edits=(ScaleAdvantage(factor=0.0),) if tuning else (),
        rollout_edits=() if tuning else (reward,),
        needs=frozenset() if tuning else frozenset({"old_entropy", "group_ids"}),
        paper=PAPER,
        parameters={"variant": variant, "coef": coef},
    )
