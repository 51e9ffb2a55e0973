from __future__ import annotations

from typing import Literal

from entrostat.edits import UncertaintyAdvantage
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="advantages", paper="xie2025unlocking", needs={"logit_stats", "group_ids"})
def ucas(
    *, up: float = 0.25, down: float = 0.35, penalty: float = 0.05, confidence: Literal["mean", "sum"] = "mean"
) -> Recipe:
    """UCAS: advantages shaped by the response's confidence and the token's logit.

        c_t = logsumexp(z) - mean_v z_v       Z = z-score within the prompt group of the mean (or sum) of c_t
        A1  = A exp(-up Z) if A > 0 else A exp(+down Z)
        A'  = A1 - penalty l_t, at least 0 where A1 > 0       l_t = logit of the sampled token, scaled to [0, 1]

    How sure: high for the published code, from which both stages and the numbers are; low for the paper, whose
    normalisation of C we have not seen. The code sums c_t over a response; since c_t contains log V, that sum is
    mostly its length. Our default is the mean; `confidence="sum"` is the code's.

    Args:
        up: how strongly confidence shrinks a positive advantage.
        down: how strongly it enlarges a negative one.
        penalty: advantage taken from the token with the largest logit. It also pushes where A = 0.
        confidence: `"mean"` or `"sum"` over a response.

    Raises:
        ValueError: a negative number, an unknown aggregation.

    Reference:
        Xie et al., arXiv 2510.10649.

    Example:
        >>> sorted(ucas().needs)
        ['group_ids', 'logit_stats', 'old_entropy']
    """
    return Recipe(rollout_edits=(UncertaintyAdvantage(up=up, down=down, penalty=penalty, confidence=confidence),))
