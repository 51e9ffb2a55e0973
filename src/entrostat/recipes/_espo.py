"""ESPO: a response's uncertain tokens and its others have each their own ratio and clip range."""

from __future__ import annotations

from typing import Literal

from entrostat.controllers import Constant
from entrostat.edits import GroupedRatio, VerifiedAdvantage
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "ratio, clip bounds, advantages"
PAPER = Paper(
    title="ESPO: Entropy Importance Sampling Policy Optimization",
    authors="Yuepeng Sheng and others",
    year=2025,
    url="https://arxiv.org/abs/2512.00499",
    bibtex="""@article{sheng2025espo,
  title   = {{ESPO}: Entropy Importance Sampling Policy Optimization},
  author  = {Sheng, Yuepeng and others},
  journal = {arXiv preprint arXiv:2512.00499},
  year    = {2025}
}""",
)


def espo(
    *,
    alpha: float = 0.02,
    top: float = 0.2,
    denominator: Literal["current", "old"] = "current",
    verified_above: float | None = None,
) -> Recipe:
    """ESPO, with two groups per response: the tokens of highest entropy at the rollout, and the others.

        s_tau = exp((1/|tau|) sum_{t in tau} (lp_t - lp_old,t))        eps_tau = alpha / log V  mean_{t in tau} H_old,t
        L = -(1/G) sum_i (1/K_i) sum_tau (1/|tau|) sum_{t in tau} min(s A, clip(s, 1 - eps_tau, 1 + eps_tau) A)

    The weights 1/K and 1/|tau| go into the advantages, relative to the 1/|o| of a host that averages per response:
    exact with TRL's `loss_type="grpo"`. With groups of 20 % and 80 % an uncertain token weighs four times another.

    How sure: medium. The equations were read, four things in them are open, and no code is public:
    (1) the printed ratio divides by the old policy, so that its value is `s_tau r_t`, which leaves a range of about
    0.002 almost always; dividing by the current one, as GSPO does, gives the value `s_tau` and fits the low clip
    fractions that the paper reports. That is the default, our reading; `denominator="old"` is as printed.
    (2) The printed range lacks a sum; the text says average, which we take. (3) Number of groups and their edges are
    not given; two groups at the top 20 % is what the ablation suggests. (4) Advantages are said to be over the
    responses whose verification succeeded, without saying which those are: see `verified_above`.

    Args:
        alpha: clip range per unit of entropy relative to log V.
        top: share of a response's tokens in the uncertain group.
        denominator: what the token's probability is divided by in its ratio, see above.
        verified_above: responses with a reward at or below it get no advantage, and the group's mean and deviation are
            taken over the others. None leaves the host's advantages.

    Returns:
        The recipe.

    Raises:
        ValueError: `alpha` not positive, `top` outside (0, 1), or an unknown denominator.

    Reference:
        Sheng et al., "ESPO", arXiv 2512.00499.

    Example:
        >>> espo().edits
        (GroupedRatio(alpha=0.02, top=0.2, denominator='current'),)
    """
    verified = () if verified_above is None else (VerifiedAdvantage(above=verified_above),)
    needs = {"old_logprobs", "old_entropy"} | ({"rewards", "group_ids"} if verified else set[str]())
    return Recipe(
        name="espo",
        summary="Ratio and clip range per group of a response's tokens, grouped by entropy (ESPO).",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=(GroupedRatio(alpha=alpha, top=top, denominator=denominator),),
        rollout_edits=verified,
        needs=frozenset(needs),
        ratio_only=True,
        paper=PAPER,
        parameters={"alpha": alpha, "top": top, "denominator": denominator, "verified_above": verified_above},
    )
