from __future__ import annotations

from typing import Literal

from entrostat.controllers import Anchored
from entrostat.edits import DifficultyWeight
from entrostat.recipes._base import Recipe, recipe
from entrostat.regulator import Window
from entrostat.terms import EntropyBonus


@recipe(
    acts_on="loss term",
    paper="zhang2025rediscovering",
    needs={"rewards", "group_ids"},
    embedded={"parameters": {"rate": 0.05, "rho": 1.0, "fraction": 0.8, "initial": 0.01, "ceiling": 0.05}},
)
def aer(
    *,
    rate: float,
    rho: float,
    fraction: float = 0.4,
    shape: Literal["ramp", "gate"] = "ramp",
    form: Literal["proportional", "sign"] = "proportional",
    initial: float = 0.0,
    ceiling: float | None = None,
    anchor_updates: int = 1,
    correct_at: float = 1.0,
    skip_unsolved: bool = False,
    window: Window = "rollout",
) -> Recipe:
    """After AER: a bonus that grows with a prompt's difficulty and holds the entropy below its initial level.

        L       = L_host - alpha (1/N) sum_{b,t} w(q_b) H_{b,t}
        w(q)    = max(0, (rho - g(q)) / rho)  "ramp",   1[g(q) < rho]  "gate"        g: accuracy of q's group
        alpha  <- max(0, alpha + rate (fraction H_0 - H))  "proportional",   alpha +- rate  "sign"

    `H_0` is the mean entropy of the first `anchor_updates` windows, kept from then on.

    How sure: low. These are NOT the paper's equations, which we could not read; its abstract confirms three parts
    (a coefficient per prompt by difficulty, a target tied to the initial entropy and below it, a global coefficient
    adjusted on line), and a summary by others gives two thresholds, tau and rho, with the best tau near 0.4: our
    `fraction`. Both shapes and both forms fit that. The defaults are the smooth ones: a ramp does not jump where one
    response more is right, and a proportional update rests where a signed one cycles.

    Args:
        rate: how far the coefficient moves per nat and update (`"proportional"`), or per update (`"sign"`). The paper's
            value is unknown: no default.
        rho: accuracy from which a prompt gets no bonus. Unknown as well: no default.
        fraction: target as a fraction of the initial entropy.
        shape: how the weight falls with the accuracy.
        form: how the coefficient moves.
        initial: first coefficient; 0 as the entropy starts above its target.
        ceiling: greatest coefficient; None for no bound.
        anchor_updates: windows the initial entropy is averaged over.
        correct_at: least reward of a correct response.
        skip_unsolved: no bonus where no response is right. Group-relative advantages are 0 there, so that the bonus
            would act alone.
        window: when the coefficient moves.

    Raises:
        ValueError: a setting that the parts reject.

    Reference:
        Zhang et al., arXiv 2510.10959 (structure only).

    Example:
        >>> aer(rate=0.1, rho=0.75).controller.fraction
        0.4
    """
    # The weight per prompt is set once on the fresh rollouts, where every group is whole.
    weight = DifficultyWeight(rho=rho, correct_at=correct_at, shape=shape, skip_unsolved=skip_unsolved)
    law = Anchored(
        fraction=fraction, rate=rate, initial=initial, ceiling=ceiling, anchor_updates=anchor_updates, form=form
    )
    return Recipe(controller=law, terms=(EntropyBonus(),), rollout_edits=(weight,), window=window)
