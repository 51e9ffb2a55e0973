from __future__ import annotations

from typing import Literal

from entrostat.edits import GroupedRatio, VerifiedAdvantage
from entrostat.recipes._base import Recipe, recipe


@recipe(
    acts_on="ratio, clip bounds, advantages",
    paper="sheng2025espo",
    ratio_only=True,
    embedded={"train": {"loss_type": "grpo"}},
)
def espo(
    *,
    alpha: float = 0.02,
    top: float = 0.2,
    denominator: Literal["current", "old"] = "current",
    verified_above: float | None = None,
) -> Recipe:
    """ESPO: ratio and clip range per group of a response's tokens, grouped by entropy.

        s_tau = exp((1/|tau|) sum_{t in tau} (lp_t - lp_old,t))        eps_tau = alpha / log V  mean_{t in tau} H_old,t
        L = -(1/G) sum_i (1/K_i) sum_tau (1/|tau|) sum_{t in tau} min(s A, clip(s, 1 - eps_tau, 1 + eps_tau) A)

    Each response has two groups: its tokens of highest entropy at the rollout, and the others. The weights 1/K and
    1/|tau| go into the advantages, relative to the 1/|o| of a host that averages per response: exact with TRL's
    `loss_type="grpo"`. With groups of 20 % and 80 % an uncertain token weighs four times another.

    How sure: medium. The equations were read, four things in them are open, and no code is public:
    (1) the printed ratio divides by the old policy, so that its value is `s_tau r_t`, which leaves a range of about
    0.002 almost always; dividing by the current one, as GSPO does, gives the value `s_tau` and fits the low clip
    fractions that the paper reports. That is the default, our reading; `denominator="old"` is as printed.
    (2) The printed range lacks a sum; the text says average, which we take. (3) Number of groups and their edges are
    not given; the ablation suggests two groups at the top 20 %. (4) Advantages are said to be over the
    responses whose verification succeeded, without saying which those are: see `verified_above`.

    Args:
        alpha: clip range per unit of entropy relative to log V.
        top: share of a response's tokens in the uncertain group.
        denominator: the policy whose probability divides the token's in its ratio, see above.
        verified_above: responses with a reward at or below it get no advantage, and the group's mean and deviation are
            taken over the others. None leaves the host's advantages.

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
        edits=(GroupedRatio(alpha=alpha, top=top, denominator=denominator),),
        rollout_edits=verified,
        needs=frozenset(needs),
    )
