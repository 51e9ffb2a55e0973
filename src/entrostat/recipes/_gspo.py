from __future__ import annotations

from entrostat.edits import ClipBounds, SequenceRatio
from entrostat.recipes._base import Recipe, recipe


@recipe(
    acts_on="ratio, clip bounds",
    paper="zheng2025group",
    needs={"old_logprobs"},
    ratio_only=True,
    embedded={"train": {"loss_type": "grpo"}},
)
def gspo(*, low: float = 3e-4, high: float = 4e-4) -> Recipe:
    """GSPO: one ratio per response instead of one per token, clipped narrowly.

        s_i = exp((1/|o_i|) sum_t (lp_{i,t} - lp_old,{i,t}))
        L = -(1/G) sum_i (1/|o_i|) sum_t min(s' A, clip(s', 1 - low, 1 + high) A)         s' = sg(s_i) pi / sg(pi)

    The token form: the host's ratio becomes the response's. The inner mean over a response's tokens is the host's:
    exact with TRL's `loss_type="grpo"`. With a mean over all tokens of the batch a long response counts more than a
    short one.

    How sure: high. Equation and bounds are the paper's, and TRL's and verl's implementations agree. It is no entropy
    control; it is here because others are measured against it. TRL has it too (`importance_sampling_level="sequence"`);
    as a recipe it can be combined.

    Args:
        low: how far the response's ratio may fall below 1.
        high: how far it may rise above 1.

    Raises:
        ValueError: a negative bound, or `low` above 1.

    Reference:
        Zheng et al., "Group Sequence Policy Optimization", arXiv 2507.18071.

    Example:
        >>> gspo().edits
        (ClipBounds(low=0.0003, high=0.0004), SequenceRatio())
    """
    return Recipe(edits=(ClipBounds(low=low, high=high), SequenceRatio()))
