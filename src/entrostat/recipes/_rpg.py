from __future__ import annotations

from typing import Literal

from entrostat.edits import ClipBounds, DivergenceAdvantage, DualClip, Edit
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="advantages", paper="zhang2025design", needs={"old_logprobs"}, ratio_only=True)
def rpg(
    *,
    coef: float = 1e-4,
    divergence: Literal["forward", "reverse", "unnormalized_forward", "unnormalized_reverse"] = "unnormalized_reverse",
    low: float = 0.2,
    high: float = 0.28,
    dual_clip: float | None = 10.0,
    clamped: bool = False,
) -> Recipe:
    """RPG: a divergence to the previous policy, by its exact gradient, inside the clipped objective.

        w = pi / pi_old            A' = A + coef / w              D = KL(old || pi)
                                        A - coef (log w + 1)      D = KL(pi || old)
                                        A - coef (1 - 1/w)        D = UKL(old || pi)
                                        A - coef log w            D = UKL(pi || old)

    The objective is J = E[R] - coef D, with D a divergence between the policy and the one before. With A' as a
    constant, `-w A' grad log pi` is the gradient of `-J`. The host's clip then acts on A', as the paper's does. The
    policy before is the one that wrote the rollouts, renewed with every rollout batch; the paper renews it every K
    steps or when it has drifted far enough.

    The paper's advantage is the reward less the group's mean, not divided by its deviation: train with TRL's
    `scale_rewards="none"`. Divided advantages make `coef` mean something else in every group.

    How sure: high. The four weights are the paper's and agree with enumeration. `coef` is small in the paper, 1e-3 was
    worse. The published scripts import a REINFORCE form that their update never calls; this is the clipped form.

    Args:
        coef: weight of the divergence.
        divergence: one of the four; the two unnormalised ones leave the first update on a batch as it is, the others
            add a constant to the advantages there, which is noise of mean zero.
        low: how far the ratio may fall below 1.
        high: how far it may rise above 1.
        dual_clip: ratio above which a token with A' < 0 has no gradient (10 in the published scripts); None for no
            limit.
        clamped: take `w` clamped to the bounds in the divergence, as one branch of the published code does; the
            gradient is then exact within the bounds only.

    Raises:
        ValueError: a negative `coef` or bound, `low` above 1, `dual_clip` below 1, or an unknown divergence.

    Reference:
        Zhang et al., arXiv 2505.17508.

    Example:
        >>> rpg().edits[1]
        DivergenceAdvantage(coef=0.0001, divergence='unnormalized_reverse', clamped=False)
    """
    edits: tuple[Edit, ...] = (
        ClipBounds(low=low, high=high),
        DivergenceAdvantage(coef=coef, divergence=divergence, clamped=clamped),
    )
    return Recipe(edits=edits if dual_clip is None else (*edits, DualClip(limit=dual_clip)))
