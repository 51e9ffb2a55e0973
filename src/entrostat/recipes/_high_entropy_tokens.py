from __future__ import annotations

from entrostat.edits import EntropyMask
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="advantages (which tokens keep theirs)", paper="wang2025beyond")
def high_entropy_tokens(*, keep: float = 0.2, kept_mean: bool = True) -> Recipe:
    """The 80/20 rule: only the highest-entropy share of the tokens carries the policy gradient.

        A' = A 1[H >= tau] N / N_kept,    tau = the (1 - keep) quantile of H over the micro-batch, all ranks

    How sure: high. Paper and official code agree on the objective, a mean over the kept tokens. The official code
    selects per rank, and breaks ties at will; here, as in TRL's `top_entropy_quantile`, all ranks share one threshold
    and ties are kept. The paper trains with DAPO's clip bounds: combine with `clip_higher` for those.

    Args:
        keep: share of tokens that keep their advantage (paper: 0.2); 1 is the host's own objective.
        kept_mean: divide by the kept tokens, as the paper does. False divides by all tokens, as TRL does, which makes
            the policy gradient smaller by a factor of about `keep`.

    Raises:
        ValueError: `keep` outside (0, 1].

    Reference:
        Wang et al., "Beyond the 80/20 Rule", arXiv 2506.01939, equation 6.

    Example:
        >>> high_entropy_tokens().edits
        (EntropyMask(keep=0.2, rescale=True),)
    """
    return Recipe(edits=(EntropyMask(keep=keep, rescale=kept_mean),))
