from __future__ import annotations

from typing import Literal

from entrostat.edits import ClipBounds, CovarianceMask
from entrostat.errors import unknown_name
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="advantages", needs={"old_logprobs"}, paper="cui2025entropy", embedded={"parameters": {"share": 0.02}})
def clip_cov(
    *,
    share: float = 2e-4,
    low: float = 1.0,
    high: float = 5.0,
    clip_low: float = 1.0,
    clip_high: float = 1.0,
    scope: Literal["rollout", "micro_batch"] = "rollout",
) -> Recipe:
    """Clip-Cov: a few tokens of large covariance between log-prob and advantage are left out.

        c_t = (lp_t - mean lp) (A_t - mean A)          means over the response tokens of the batch
        A'_t = 0 for max(floor(share N), 1) tokens drawn among those with low < c_t < high

    All other tokens keep the clipped loss, whose mean is still over all `N`. It acts on the first update already. Share
    and covariance bounds are the paper's; the wide clip range is that of its scripts.

    How sure: high. Statistic, draw and defaults agree between paper and code. The paper's `N` is the batch; its code
    takes means and draw over one micro-batch of one rank: with one response in it all advantages are equal and so all
    covariances zero, and "at least one token" is far more than `share`. The default takes the whole rollout batch of
    all ranks, before the first update, with the log-probs of the policy that wrote it.

    Args:
        share: tokens left out, as a share of the response tokens.
        low: least covariance of a candidate. Made for advantages divided by the group's standard deviation.
        high: greatest covariance of a candidate.
        clip_low: how far the ratio may fall below 1. The official scripts have 1 on both sides, not 0.2.
        clip_high: how far it may rise above 1.
        scope: `"rollout"`, or `"micro_batch"` as in the published code: the tokens of one micro-batch on one
            rank, under the policy being trained, those beyond the clip bounds excepted.

    Raises:
        ValueError: a share or bound out of range, or an unknown scope.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617.

    Example:
        >>> clip_cov().rollout_edits
        (CovarianceMask(share=0.0002, low=1.0, high=5.0, across_ranks=True),)
    """
    if scope not in ("rollout", "micro_batch"):
        raise unknown_name("scope", scope, ("rollout", "micro_batch"))
    once = scope == "rollout"
    mask = CovarianceMask(share=share, low=low, high=high, across_ranks=once)
    bounds = ClipBounds(low=clip_low, high=clip_high)
    return Recipe(
        edits=(bounds,) if once else (bounds, mask),
        rollout_edits=(mask,) if once else (),
        needs=frozenset({"old_entropy"} if once else ()),
    )
