from __future__ import annotations

from typing import Literal

from entrostat.controllers import ProportionalIntegral
from entrostat.recipes._base import Recipe, recipe
from entrostat.regulator import Window
from entrostat.terms import ConfidentWeight


@recipe(acts_on="loss term", paper="yang2025entropic", needs={"old_logprobs"}, embedded={"parameters": {"target": 0.2}})
def entropic(
    *,
    target: float,
    kp: float = 1.0,
    ki: float = 0.01,
    tau: float = 0.95,
    limit: float = 1.0,
    anti_windup: bool = False,
    denominator: Literal["all", "selected"] = "all",
    window: Window = "step",
) -> Recipe:
    """EntroPIC: confident tokens weighted by a PI controller that holds the entropy at a target.

        L     = L_host + alpha mean_{b,t}( -r |A| 1[p > tau] )         weight 1 + alpha if A > 0, 1 - alpha if A < 0
        e     = H - target
        alpha <- clip(kp e + ki I, -limit, limit),   I <- I + e        I: sum of the errors before this one

    H too high: alpha > 0, confident right tokens count more and confident wrong ones less, and the entropy falls. H too
    low: the reverse. There is no entropy in the loss. The term is not clipped, as in the authors' code.

    How sure: high on law, signs, mask and defaults, read in code; `(1 + alpha) J_pos - (1 - alpha) J_neg` is the
    paper's form as another paper quotes it. Ours differs where the code departs from that form: one alpha per window,
    from the mean over all ranks, where the code has one per micro-batch and rank; a saved integral; the denominator.

    Args:
        target: entropy to hold, nats per token. Depends on the model: no default (authors' script: 0.1).
        kp: proportional gain, per nat.
        ki: integral gain, per nat and update; 0 leaves an offset under a constant drift.
        tau: probability above which a token is weighted.
        limit: bound of |alpha|; 1 keeps the weights from turning sign.
        anti_windup: hold the integral while alpha is at its limit. The authors' code does not.
        denominator: `"all"` (default) divides the term as the host divides its own loss, so that the weights are
            1 +- alpha; `"selected"` is the code, which divides by the M selected of N tokens: 1 +- alpha N / M.
        window: when alpha moves: after an optimizer step, after a rollout batch, or on fresh rollouts.

    Raises:
        ValueError: a setting that the parts reject.

    Reference:
        Yang et al., "EntroPIC", arXiv 2511.15248, and its code.

    Example:
        >>> entropic(target=0.1).terms
        (ConfidentWeight(tau=0.95, denominator='all'),)
    """
    return Recipe(
        controller=ProportionalIntegral(target=target, kp=kp, ki=ki, limit=limit, anti_windup=anti_windup),
        terms=(ConfidentWeight(tau=tau, denominator=denominator),),
        window=window,
    )
