"""Clip-higher (DAPO): more room above 1 than below, so that rare tokens can gain probability."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.edits import ClipBounds
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe

ACTS_ON = "clip bounds"
PAPER = Paper(
    title="DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
    authors="Qiying Yu and others",
    year=2025,
    url="https://arxiv.org/abs/2503.14476",
    bibtex="""@article{yu2025dapo,
  title   = {{DAPO}: An Open-Source {LLM} Reinforcement Learning System at Scale},
  author  = {Yu, Qiying and others},
  journal = {arXiv preprint arXiv:2503.14476},
  year    = {2025}
}""",
)


def clip_higher(*, low: float = 0.2, high: float = 0.28) -> Recipe:
    """DAPO's decoupled clip bounds: a token may gain more than it may lose.

        min(r A, clip(r, 1 - low, 1 + high) A)

    A token of probability p may reach p (1 + high) before its gradient stops; with high = low rare tokens hardly move.

    How sure: high. Bounds and defaults are the paper's, and TRL's and verl's implementations agree.

    Args:
        low: how far the ratio may fall below 1.
        high: how far it may rise above 1.

    Returns:
        The recipe.

    Raises:
        ValueError: a negative bound, or `low` above 1.

    Reference:
        Yu et al., "DAPO", arXiv 2503.14476, section 3.1.

    Example:
        >>> clip_higher().edits
        (ClipBounds(low=0.2, high=0.28),)
    """
    return Recipe(
        name="clip_higher",
        summary="Clip bounds with more room above 1 than below (DAPO).",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=(ClipBounds(low=low, high=high),),
        needs=frozenset({"old_logprobs"}),
        ratio_only=True,
        paper=PAPER,
        parameters={"low": low, "high": high},
    )
