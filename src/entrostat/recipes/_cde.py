from __future__ import annotations

from collections.abc import Sequence

from entrostat.edits import CuriosityReward
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="rewards", paper="dai2025cde", embedded={"parameters": {"zero_one": True}})
def cde(
    *,
    alpha: float = 1.0,
    kappa: float = 3.0,
    stairs: Sequence[Sequence[float]] = ((0.0, 1.0),),
    zero_one: bool = False,
) -> Recipe:
    """CDE's actor part: a capped reward bonus for responses the policy finds unlikely.

        B = -(1/T) sum_t log pi(y_t)        R' = R + w min(|R| / kappa, alpha B)
        A = (R' - group mean) / (group std + 1e-4)

    The paper's other part, a critic with several heads, needs a critic; GRPO has none.

    How sure: high for the equations, read in the paper's text; there is no official code. The paper found a staircase
    for w best, but its levels are in a figure we could not read: `stairs` has no published default, and ours, one
    level from start to end, is the paper's "no schedule".

    Args:
        alpha: bonus per nat of mean surprisal (paper: 1).
        kappa: the bonus is at most this many times smaller than the reward (paper: 3).
        stairs: pairs (share of the run, w), from 0 on; for example `((0, 1), (0.5, 0))` drops the bonus half way.
        zero_one: the rewards are 0 and 1: turn them into -1 and 1 first, as the paper has them. A reward of 0 caps
            its bonus at 0.

    Raises:
        ValueError: a negative `alpha`, a `kappa` that is not above 1, stairs that do not rise from 0 in time.

    Reference:
        Dai et al., "CDE", arXiv 2509.09675.

    Example:
        >>> sorted(cde().needs)
        ['group_ids', 'old_entropy', 'rewards']
    """
    edit = CuriosityReward(alpha=alpha, kappa=kappa, stairs=stairs, zero_one=zero_one)
    # One stair is a constant weight, for which the length of the run need not be known.
    needs = {"old_entropy", "rewards", "group_ids"} | ({"total_steps"} if len(edit.stairs) > 1 else set[str]())
    return Recipe(
        rollout_edits=(edit,),
        needs=frozenset(needs),
        parameters={"alpha": alpha, "kappa": kappa, "stairs": edit.stairs, "zero_one": zero_one},
    )
