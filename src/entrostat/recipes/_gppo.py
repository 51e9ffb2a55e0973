"""GPPO: tokens beyond the clip bounds keep the gradient they would have at the bound."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.measures import Shannon
from entrostat.recipes._base import Paper, Recipe
from entrostat.recipes._ce_gppo import preserving

ACTS_ON = "ratio"
PAPER = Paper(
    title="Klear-Reasoner: Advancing Reasoning Capability via Gradient-Preserving Clipping Policy Optimization",
    authors="Zhenpeng Su and others",
    year=2025,
    url="https://arxiv.org/abs/2508.07629",
    bibtex="""@article{su2025klear,
  title   = {{Klear-Reasoner}: Advancing Reasoning Capability via Gradient-Preserving Clipping Policy Optimization},
  author  = {Su, Zhenpeng and others},
  journal = {arXiv preprint arXiv:2508.07629},
  year    = {2025}
}""",
)


def gppo(*, low: float = 0.2, high: float = 0.2, dual_clip: float | None = None) -> Recipe:
    """GPPO: CE-GPPO with both factors 1.

        min(r A, clip(r, (1 - low) r/sg(r), (1 + high) r/sg(r)) A)

    A token beyond the lower bound has the gradient `(1 - low) A grad log pi`, one beyond the upper bound
    `(1 + high) A grad log pi`.

    How sure: high for the formula. The bounds are those of CE-GPPO's runs, by the same authors; GPPO's own were not
    read.

    Args:
        low: how far the ratio may fall below 1 before its weight stops falling.
        high: how far it may rise above 1 before its weight stops rising.
        dual_clip: ratio above which a token with A < 0 has no gradient, as the published code has it; None for no
            limit.

    Returns:
        The recipe.

    Raises:
        ValueError: a negative bound, `low` above 1, or `dual_clip` below 1.

    Reference:
        Su et al., "Klear-Reasoner", arXiv 2508.07629.

    Example:
        >>> gppo().edits
        (ClipBounds(low=0.2, high=0.2), PreservedGradient(low=1.0, high=1.0))
    """
    return Recipe(
        name="gppo",
        summary="Tokens beyond the clip bounds keep the gradient of the bound (GPPO).",
        measure=Shannon(),
        controller=Constant(coef=0.0),
        edits=preserving(1.0, 1.0, low, high, dual_clip),
        needs=frozenset({"old_logprobs"}),
        ratio_only=True,
        paper=PAPER,
        parameters={"low": low, "high": high, "dual_clip": dual_clip},
    )
