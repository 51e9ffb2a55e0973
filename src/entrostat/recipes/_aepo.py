from __future__ import annotations

from typing import Any, Literal

from entrostat.controllers import Controller, Proportional, Relay
from entrostat.errors import require, require_choice, require_finite
from entrostat.recipes._base import Recipe, Redraw, recipe
from entrostat.terms import Surprisal

Variant = Literal["aepo", "scope"]


@recipe(acts_on="which rollouts are drawn", paper="wang2025arbitrary", embedded={"parameters": {"target": 0.4}})
def aepo(
    *,
    target: float = 0.5,
    hot: float = 1.2,
    cold: float = 0.8,
    variant: Variant = "aepo",
    share: float = 0.25,
    limit: float | None = None,
    limit_cooling: float | None = None,
) -> Recipe:
    """AEPO: good responses drawn at a second temperature steer the entropy to a target.

        T = hot if S <= target else cold                    variant "aepo"
        T = clip(1 + target - S, cold, hot)                 variant "scope" (SCOPE-RL)

    S is the mean surprisal of the tokens of the last rollout batch, an estimate of the policy's entropy; before the
    first one T = hot. Of the responses drawn at T, for the first `share` of the prompts, the good ones replace a few of
    the batch with an advantage of 1. They are scored and updated at the batch's own temperature: imitating hotter
    samples raises entropy, imitating cooler ones lowers it. Their share of the batch is the strength of the method.

    How sure: high for "aepo", the released code's procedure and numbers. The code reads S of the last step, over
    micro-batches; here it is the mean over all tokens of the last rollout batch. Medium for "scope", known at second
    hand: T's formula, its 1/64 and that all correct responses serve are reported; that they replace others of the
    batch, rather than add a term, is ours.

    Args:
        target: nats per token (the code's default; the paper tried 0.25 to 0.75). Choose yours.
        hot: temperature while entropy is low, or its upper limit.
        cold: temperature while entropy is high, or its lower limit.
        variant: `"aepo"` switches, and takes responses with a group advantage above 0.05; `"scope"` is proportional,
            and takes responses with a reward above 1/2.
        share: share of the prompts drawn again (code: a quarter).
        limit: most responses replaced, as a share of the batch (code: 60 of 2560; scope: 1/64).
        limit_cooling: the same while T is below the batch's temperature (code: 30 of 2560; scope: 1/64).

    Raises:
        ValueError: temperatures that are not positive or out of order, a share outside (0, 1], an unknown variant.

    Reference:
        Wang et al., "Arbitrary Entropy Policy Optimization", arXiv 2510.08141.

    Example:
        >>> aepo(target=0.4).controller
        Relay(threshold=0.4, below=1.2, above=0.8, inclusive=True)
    """
    require(require_finite("cold", cold) > 0, "cold", "be positive", cold)
    require(require_finite("hot", hot) >= cold, "hot", f"be at least `cold`={cold!r}", hot)
    require_choice("variant", variant, Variant)
    scope = variant == "scope"
    law: Controller[Any] = Relay(threshold=target, below=hot, above=cold, inclusive=True)
    if scope:
        law = Proportional(target=target, offset=1.0, floor=cold, ceiling=hot, initial=hot)
    return Recipe(
        controller=law,
        signal=Surprisal(),
        redraw=Redraw(
            share=share,
            judge="reward" if scope else "advantage",
            threshold=0.5 if scope else 0.05,
            limit=(1 / 64 if scope else 60 / 2560) if limit is None else limit,
            limit_cooling=(1 / 64 if scope else 30 / 2560) if limit_cooling is None else limit_cooling,
        ),
        window="rollout",
    )
