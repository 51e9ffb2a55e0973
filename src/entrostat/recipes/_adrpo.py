from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import AdvantageKL


@recipe(
    acts_on="divergence to the reference",
    paper="fan2025adaptive",
    needs={"ref_logprobs"},
    embedded={"parameters": {"scale": 0.02, "low": -1.0, "high": 1.0}, "train": {"beta": 0.02}},
)
def adrpo(*, scale: float = 1.0, low: float | None = None, high: float | None = None, floor: float = 0.0) -> Recipe:
    """ADRPO: a divergence to the reference whose coefficient falls with the advantage.

        L    = L_host with its divergence's coefficient replaced by beta, token by token
        beta = max(beta_0 - scale clip(A, low, high), floor)

    Good responses may leave the reference, bad ones are held to it. `beta_0` is the host's own coefficient (TRL's
    `beta`). It has to be positive: only then a reference model is kept. The host adds `beta_0 k3`, the recipe what is
    missing, with the same estimator and the same reduction. Entropy is not steered; what it does is a by-product.

    How sure: medium. `beta_0 - A` with GRPO's advantage is from a post of the paper's author. The paper clips the
    advantage too, at bounds we do not know: no default. The floor is ours: an advantage is of the order of 1, `beta_0`
    of 0.01, so without a floor almost every good response would be paid for divergence, which has no upper bound. With
    `scale=beta_0, low=-1, high=1` the coefficient stays within [0, 2 beta_0].

    The flow-matching form of the paper is in the lab: `entrostat.lab.theory.flow_matching`.

    Args:
        scale: how much one unit of advantage takes off the coefficient (paper: 1).
        low: least advantage that counts; None for no bound.
        high: greatest; None for no bound.
        floor: least coefficient, at most 0; below 0 pays for divergence.

    Raises:
        ValueError: a setting that the term rejects.

    Reference:
        Fan et al., arXiv 2510.18053.

    Example:
        >>> adrpo(scale=0.02, low=-1.0, high=1.0).terms
        (AdvantageKL(scale=0.02, low=-1.0, high=1.0, floor=0.0),)
    """
    return Recipe(controller=Constant(coef=1.0), terms=(AdvantageKL(scale=scale, low=low, high=high, floor=floor),))
