"""The two methods of "The Entropy Mechanism of RL": both choose tokens by the covariance of log-prob and advantage."""

from __future__ import annotations

import math
from typing import Literal

from entrostat.controllers import Constant
from entrostat.edits import ClipBounds, CovarianceMask, CovarianceWeight
from entrostat.errors import unknown_name
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import DriftPenalty


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


@recipe(acts_on="loss term", paper="cui2025entropy", ratio_only=True, embedded={"parameters": {"share": 0.02}})
def kl_cov(
    *,
    coef: float = 1.0,
    share: float = 2e-3,
    dead_zone: float = 1e-3,
    scope: Literal["rollout", "micro_batch"] = "rollout",
) -> Recipe:
    """KL-Cov: a penalty on the drift of the tokens of largest covariance between log-prob and advantage.

        c_t = (lp_t - mean lp) (A_t - mean A)          means over the response tokens of the batch
        L = mean_t [-r_t A_t]  +  coef mean_t [w_t max(|lp_t - lp_old,t| - dead_zone, 0)]
        w_t = 1 at the max(floor(share N), 1) tokens of largest c_t, else 0

    Nothing is clipped; the defaults are those of the paper's 7B runs. The means are over all `N` tokens. At lp = lp_old
    the penalty has no gradient: nothing happens before the second update on a rollout batch.

    How sure: high for the published form (paper and code agree). Two things are ours and can be switched off. The dead
    zone: where old and new log-probs come from passes that round differently, the published absolute value punishes
    that noise at full size with a random sign. The scope: the published code chooses tokens in one micro-batch of one
    rank, under the policy being trained; the default chooses once in the whole rollout batch of all ranks, under the
    policy that wrote it.

    Args:
        coef: weight of the penalty; the paper's 1. (verl's default for it is 0.1.)
        share: tokens punished, as a share of the response tokens; 2e-3 for the paper's 7B runs, 2e-4 for 32B.
        dead_zone: log-ratio that costs nothing, nats; 0 as published.
        scope: `"rollout"`, or `"micro_batch"` as published.

    Raises:
        ValueError: a share out of range, a negative dead zone, or an unknown scope.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617.

    Example:
        >>> recipe = kl_cov()
        >>> recipe.edits, recipe.terms
        ((ClipBounds(low=1.0, high=inf),), (DriftPenalty(dead_zone=0.001),))
    """
    if scope not in ("rollout", "micro_batch"):
        raise unknown_name("scope", scope, ("rollout", "micro_batch"))
    once = scope == "rollout"
    weight = CovarianceWeight(share=share, across_ranks=once)
    # A ratio is at least 0, so a lower bound of 1 never clips.
    never = ClipBounds(low=1.0, high=math.inf)
    return Recipe(
        controller=Constant(coef=coef),
        terms=(DriftPenalty(dead_zone=dead_zone),),
        edits=(never,) if once else (never, weight),
        rollout_edits=(weight,) if once else (),
        needs=frozenset({"old_logprobs", "old_entropy"} if once else {"old_logprobs"}),
    )
