from __future__ import annotations

from entrostat.edits import EntropyAdvantage
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="advantages", paper="cheng2025reasoning")
def entropy_advantage(*, alpha: float = 0.4, kappa: float = 2.0) -> Recipe:
    """Entropy-shaped advantage: a share of each token's entropy is added, capped by the advantage itself.

        psi = min(alpha sg(H), |A| / kappa)        A' = A + psi

    H is the policy's entropy at the update. The sign of an advantage never turns, and no gradient flows through H,
    which is what sets this apart from an entropy bonus.

    How sure: high. Equation and defaults were read in the paper's text; there is no official code.

    Args:
        alpha: advantage per nat (paper: 0.4 with GRPO, 0.1 with PPO).
        kappa: the addition is at most this many times smaller than the advantage (paper: 2).

    Raises:
        ValueError: a negative `alpha`, or a `kappa` that is not above 1.

    Reference:
        Cheng et al., "Reasoning with Exploration: An Entropy Perspective", arXiv 2506.14758.

    Example:
        >>> entropy_advantage().edits
        (EntropyAdvantage(alpha=0.4, kappa=2.0),)
    """
    return Recipe(edits=(EntropyAdvantage(alpha=alpha, kappa=kappa),))
