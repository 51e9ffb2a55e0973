"""GSPO: one ratio per response, clipped within a very narrow range."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.edits import ClipBounds, SequenceRatio
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "ratio, clip bounds"
PAPER = Paper(
    title="Group Sequence Policy Optimization",
    authors="Chujie Zheng and others",
    year=2025,
    url="https://arxiv.org/abs/2507.18071",
    bibtex="""@article{zheng2025group,
  title   = {Group Sequence Policy Optimization},
  author  = {Zheng, Chujie and others},
  journal = {arXiv preprint arXiv:2507.18071},
  year    = {2025}
}""",
)


def gspo(*, low: float = 3e-4, high: float = 4e-4) -> Recipe:
    """GSPO in its token form: the host's ratio becomes the response's.

        s_i = exp((1/|o_i|) sum_t (lp_{i,t} - lp_old,{i,t}))
        L = -(1/G) sum_i (1/|o_i|) sum_t min(s' A, clip(s', 1 - low, 1 + high) A)         s' = sg(s_i) pi / sg(pi)

    The inner mean over a response's tokens is the host's: exact with TRL's `loss_type="grpo"`. With a mean over all
    tokens of the batch a long response counts more than a short one.

    How sure: high. Equation and bounds are the paper's, and TRL's and verl's implementations agree. It is no entropy
    control; it is here because others are measured against it. TRL has it too (`importance_sampling_level="sequence"`);
    as a recipe it can be combined.

    Args:
        low: how far the response's ratio may fall below 1.
        high: how far it may rise above 1.

    Returns:
        The recipe.

    Raises:
        ValueError: a negative bound, or `low` above 1.

    Reference:
        Zheng et al., "Group Sequence Policy Optimization", arXiv 2507.18071.

    Example:
        >>> gspo().edits
        (ClipBounds(low=0.0003, high=0.0004), SequenceRatio())
    """
    return Recipe(
        name="gspo",
        summary="One ratio per response instead of one per token, clipped narrowly (GSPO).",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=(ClipBounds(low=low, high=high), SequenceRatio()),
        needs=frozenset({"old_logprobs"}),
        ratio_only=True,
        paper=PAPER,
        parameters={"low": low, "high": high},
    )
