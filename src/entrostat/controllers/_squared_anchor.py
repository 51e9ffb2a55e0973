"""SIREN's law: the slope of a squared distance to the first entropy."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from entrostat.controllers._base import measured, require_nonnegative


class SquaredAnchorState(NamedTuple):
    coef: float  # the coefficient in force; 0 before the first measurement and at the anchor
    anchor: float  # the first measured entropy
    anchored: bool  # whether there was a measurement


@dataclasses.dataclass(frozen=True, kw_only=True)
class SquaredAnchor:
    """The slope of `beta (H - H_anchor)^2` by H, where `H_anchor` is the first H.

        coef = 2 beta (H - H_anchor)

    As the coefficient of the loss `coef * h`, whose `h` carries gradient, it gives the gradient of the square, with the
    global H in front instead of that of a micro-batch: the square of a noisy mean would be biased. It pulls both ways:
    positive above the anchor, where the loss then lowers the entropy, negative below. As the coefficient of a bonus it
    would push away from the anchor. For no lag feed it the entropy of fresh rollouts, before the first update on them.

    Args:
        beta: strength of the pull.

    Raises:
        ValueError: a negative or non-finite `beta`.

    Reference:
        SIREN, arXiv 2509.25133, and its code (beta 0.005).

    Example:
        >>> law = SquaredAnchor(beta=0.5)
        >>> start = law.update(law.init(), entropy=1.0)
        >>> law.coefficient(start), law.coefficient(law.update(start, entropy=0.75))
        (0.0, -0.25)
    """

    beta: float = 0.005

    def __post_init__(self) -> None:
        require_nonnegative("beta", self.beta)

    def init(self) -> SquaredAnchorState:
        """Return the state before the anchor is measured."""
        return SquaredAnchorState(coef=0.0, anchor=0.0, anchored=False)

    def coefficient(self, state: SquaredAnchorState) -> float:
        """Return the coefficient in force."""
        return state.coef

    def update(self, state: SquaredAnchorState, *, entropy: float) -> SquaredAnchorState:
        """Return the state after one window; `entropy` is its global mean in nats."""
        if (value := measured(entropy)) is None:
            return state
        # A flag, not "anchor == 0": an entropy of exactly 0 is a measurement too.
        anchor = state.anchor if state.anchored else value
        return SquaredAnchorState(coef=2.0 * self.beta * (value - anchor), anchor=anchor, anchored=True)
