"""High-entropy tokens (80/20): only the most uncertain fifth of the tokens carries the policy gradient."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.edits import EntropyMask
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "advantages (which tokens keep theirs)"
PAPER = Paper(
    title=(
        "Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning for LLM Reasoning"
    ),
    authors="Shenzhi Wang and others",
    year=2025,
    url="https://arxiv.org/abs/2506.01939",
    bibtex="""@article{wang2025beyond,
  title   = {Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning for {LLM}
             Reasoning},
  author  = {Wang, Shenzhi and others},
  journal = {arXiv preprint arXiv:2506.01939},
  year    = {2025}
}""",
)


def high_entropy_tokens(*, keep: float = 0.2, kept_mean: bool = True) -> Recipe:
    """The 80/20 rule: zero the advantage of all but the highest-entropy share of the tokens.

        A' = A 1[H >= tau] N / N_kept,    tau = the (1 - keep) quantile of H over the micro-batch, all ranks

    How sure: high. Paper and official code agree on the objective, a mean over the kept tokens. The official code
    selects per rank, and breaks ties at will; here, as in TRL's `top_entropy_quantile`, all ranks share one threshold
    and ties are kept. The paper trains with DAPO's clip bounds: combine with `clip_higher` for those.

    Args:
        keep: share of tokens that keep their advantage (paper: 0.2); 1 is the host's own objective.
        kept_mean: divide by the kept tokens, as the paper does. False divides by all tokens, as TRL does, which makes
            the policy gradient smaller by a factor of about `keep`.

    Returns:
        The recipe.

    Raises:
        ValueError: `keep` outside (0, 1].

    Reference:
        Wang et al., "Beyond the 80/20 Rule", arXiv 2506.01939, equation 6.

    Example:
        >>> high_entropy_tokens().edits
        (EntropyMask(keep=0.2, rescale=True),)
    """
    return Recipe(
        name="high_entropy_tokens",
        summary="Only the highest-entropy share of the tokens carries the policy gradient (80/20).",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=(EntropyMask(keep=keep, rescale=kept_mean),),
        paper=PAPER,
        parameters={"keep": keep, "kept_mean": kept_mean},
    )
