from __future__ import annotations

import math
from typing import Literal

from entrostat.controllers import Constant
from entrostat.edits import ClipBounds, CovarianceWeight
from entrostat.errors import unknown_name
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import DriftPenalty


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
