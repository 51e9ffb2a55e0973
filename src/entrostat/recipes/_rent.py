from __future__ import annotations

from entrostat.edits import SelfReward
from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="rewards (replaced)", paper="prabhudesai2025maximizing", needs={"old_entropy", "group_ids"})
def rent() -> Recipe:
    """RENT: the reward is minus the response's mean entropy; labels are not used.

        R = -(1/T) sum_t H_t        A = (R - group mean) / (group std + 1e-4)

    Entropy goes down, because answers the policy is sure of are reinforced. The host's reward is not used.

    How sure: high, from the published code. Left out: its option to give a response without an extractable answer the
    entropy 7, which needs to know the answer's format.

    Reference:
        Prabhudesai et al., arXiv 2505.22660.

    Example:
        >>> rent().rollout_edits
        (SelfReward(reward='mean_entropy', baseline='z_score'),)
    """
    return Recipe(rollout_edits=(SelfReward(reward="mean_entropy", baseline="z_score"),))
