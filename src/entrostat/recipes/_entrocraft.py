from __future__ import annotations

from typing import Literal

from entrostat.edits import BandFilter
from entrostat.recipes._base import Recipe, recipe


@recipe(
    acts_on="advantages (which responses keep theirs)",
    paper="li2026addressing",
    embedded={"parameters": {"low": 0.3, "high": 0.4, "low_end": 0.2, "high_end": 0.3}},
)
def entrocraft(
    *,
    low: float,
    high: float,
    low_end: float | None = None,
    high_end: float | None = None,
    shape: Literal["linear", "cosine"] = "linear",
    normalise: Literal["group", "batch", "none"] = "group",
    raw_rewards: bool = False,
    zero_one: bool = False,
) -> Recipe:
    """Entrocraft: responses whose advantage would push the entropy out of its band are dropped.

        H = mean entropy of the fresh rollouts        m = 1[H > high] - 1[H < low]
        keep the responses with m A >= 0              normalised by the kept ones
        bound(x) = start + (end - start) x            x = share of the run done, or (1 - cos(pi x)) / 2

    So the entropy is kept on a prescribed curve. Below the band only responses with A <= 0 are kept, which spread the
    policy; above it only those with A >= 0. The entropy is that of the very rollouts the update is on: no lag.

    How sure: high for rule and schedules, read in the paper's text. The paper normalises by the kept set of each
    prompt; the factor that restores this under a host's own mean is ours. The published code does something else
    outside the band, which `raw_rewards` reproduces.

    Args:
        low: lower edge, nats per token, at the start. No default: bands of two models need not overlap (published:
            0.6 falling to 0.4 for one, 0.9 to 0.1 for another).
        high: upper edge at the start (published: 0.1 above the lower one, or equal to it).
        low_end: lower edge at the end of the run; None holds `low`. The paper found a band that stays unstable late.
        high_end: upper edge at the end; None holds `high`.
        shape: `"linear"` (the paper's best) or `"cosine"`.
        normalise: `"group"` divides by the kept responses of the prompt, `"batch"` by the kept tokens of the batch,
            `"none"` by all, as the published code does.
        raw_rewards: outside the band replace advantages by max(R, 0) above and min(R, 0) below, without a group mean,
            as the published code does.
        zero_one: the rewards are 0 and 1: turn them into -1 and 1 for `raw_rewards`.

    Raises:
        ValueError: an empty band, an unknown shape or normalisation.

    Reference:
        Li et al., arXiv 2604.26326, algorithm 1.

    Example:
        >>> sorted(entrocraft(low=0.6, high=0.7, low_end=0.4, high_end=0.5).needs)
        ['group_ids', 'old_entropy', 'total_steps']
    """
    band = BandFilter(
        low=low, high=high, low_end=low_end, high_end=high_end, shape=shape, normalise=normalise,
        raw_rewards=raw_rewards, zero_one=zero_one,
    )  # fmt: skip
    # Each need is asked of the host only where the chosen form reads it.
    moving = low_end is not None or high_end is not None
    asked = {
        "old_entropy": True,
        "total_steps": moving,
        "rewards": raw_rewards,
        "group_ids": normalise == "group" and not raw_rewards,
    }
    return Recipe(rollout_edits=(band,), needs=frozenset(name for name, needed in asked.items() if needed))
