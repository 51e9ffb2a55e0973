"""Entropy-shaped advantage (Reasoning with Exploration): tokens decided in doubt are pushed a little more."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.edits import EntropyAdvantage
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "advantages"
PAPER = Paper(
    title="Reasoning with Exploration: An Entropy Perspective",
    authors="Daixuan Cheng and others",
    year=2025,
    url="https://arxiv.org/abs/2506.14758",
    bibtex="""@article{cheng2025reasoning,
  title   = {Reasoning with Exploration: An Entropy Perspective},
  author  = {Cheng, Daixuan and others},
  journal = {arXiv preprint arXiv:2506.14758},
  year    = {2025}
}""",
)


def entropy_advantage(*, alpha: float = 0.4, kappa: float = 2.0) -> Recipe:
    """Entropy-shaped advantage: add a share of each token's entropy, capped by the advantage itself.

        psi = min(alpha sg(H), |A| / kappa)        A' = A + psi

    H is the policy's entropy at the update. The sign of an advantage never turns, and no gradient flows through H,
    which is what sets this apart from an entropy bonus.

    How sure: high. Equation and defaults were read in the paper's text; there is no official code.

    Args:
        alpha: advantage per nat (paper: 0.4 with GRPO, 0.1 with PPO).
        kappa: the addition is at most this many times smaller than the advantage (paper: 2).

    Returns:
        The recipe.

    Raises:
        ValueError: a negative `alpha`, or a `kappa` that is not above 1.

    Reference:
        Cheng et al., "Reasoning with Exploration: An Entropy Perspective", arXiv 2506.14758.

    Example:
        >>> entropy_advantage().edits
        (EntropyAdvantage(alpha=0.4, kappa=2.0),)
    """
    return Recipe(
        name="entropy_advantage",
        summary="A share of each token's entropy is added to its advantage, capped by the advantage.",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=(EntropyAdvantage(alpha=alpha, kappa=kappa),),
        paper=PAPER,
        parameters={"alpha": alpha, "kappa": kappa},
    )
