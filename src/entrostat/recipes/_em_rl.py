from __future__ import annotations

from typing import Literal

from entrostat.controllers import Constant
from entrostat.edits import ScaleAdvantage, SelfReward
from entrostat.errors import require, require_choice, require_finite
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import ResponseEntropy

Variant = Literal["sequence", "token", "ft"]


@recipe(acts_on="rewards (replaced), or a loss term", paper="agarwal2025unreasonable")
def em_rl(*, variant: Variant = "sequence", coef: float = 1.0) -> Recipe:
    """Entropy minimisation: the policy's confidence is the reward, or its entropy the loss; no labels.

        "sequence"   R = sum_t log pi(y_t)       A = R - mean of the group's others
        "token"      R = -sum_t H_t              A as above
        "ft"         L = coef (1/R) sum_b sum_t H_{b,t}, the gradient through H; no policy gradient

    Entropy goes down; the host's reward is not used. Sums, not means: a longer response earns less, or weighs more.

    How sure: high, read in the paper's text. The paper adds a divergence to the base model at 0.001: set `beta` in the
    host for it.

    Args:
        variant: `"sequence"` and `"token"` are the paper's EM-RL, `"ft"` its EM-FT.
        coef: factor on the loss of `"ft"`, above 0; the paper has none, that is, 1.

    Raises:
        ValueError: an unknown variant, a `coef` that is not positive, or one where there is no loss to scale.

    Reference:
        Agarwal et al., arXiv 2505.15134.

    Example:
        >>> em_rl(variant="ft").terms
        (ResponseEntropy(),)
    """
    require_choice("variant", variant, Variant)
    require(require_finite("coef", coef) > 0, "coef", "be positive", coef)
    tuning = variant == "ft"
    require(tuning or coef == 1, "coef", 'be left at 1 unless variant="ft"', coef)
    reward = SelfReward(reward="logprob" if variant == "sequence" else "sum_entropy", baseline="leave_one_out")
    # EM-FT has no policy gradient: the host's advantages are set to 0, and the term is all that is left of the loss.
    return Recipe(
        controller=Constant(coef=coef if tuning else 0.0),
        terms=(ResponseEntropy(),) if tuning else (),
        edits=(ScaleAdvantage(factor=0.0),) if tuning else (),
        rollout_edits=() if tuning else (reward,),
        needs=frozenset() if tuning else frozenset({"old_entropy", "group_ids"}),
    )
