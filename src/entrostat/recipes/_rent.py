"""RENT: the reward is minus the entropy of the response; no label is read."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.edits import SelfReward
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "rewards (replaced)"
PAPER = Paper(
    title="Maximizing Confidence Alone Improves Reasoning",
    authors="Mihir Prabhudesai and others",
    year=2025,
    url="https://arxiv.org/abs/2505.22660",
    bibtex="""@article{prabhudesai2025maximizing,
  title   = {Maximizing Confidence Alone Improves Reasoning},
  author  = {Prabhudesai, Mihir and others},
  journal = {arXiv preprint arXiv:2505.22660},
  year    = {2025}
}""",
)


def rent() -> Recipe:
    """RENT: reinforce what the policy is sure of. Entropy goes down; the host's reward is not used.

        R = -(1/T) sum_t H_t        A = (R - group mean) / (group std + 1e-4)

    How sure: high, from the published code. Left out: its option to give a response without an extractable answer the
    entropy 7, which needs to know the answer's format.

    Returns:
        The recipe.

    Reference:
        Prabhudesai et al., arXiv 2505.22660.

    Example:
        >>> rent().rollout_edits
        (SelfReward(reward='mean_entropy', baseline='z_score'),)
    """
    return Recipe(
        name="rent",
        summary="RENT: the reward is minus the response's mean entropy; labels are not used.",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        rollout_edits=(SelfReward(reward="mean_entropy", baseline="z_score"),),
        needs=frozenset({"old_entropy", "group_ids"}),
        paper=PAPER,
    )
