"""A coefficient that never changes: the baseline of every other law."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from entrostat.controllers._base import measured
from entrostat.errors import require_finite


class ConstantState(NamedTuple):
    """Nothing changes, so nothing is kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """The same coefficient for the whole run.

    Args:
        coef: the coefficient; 0 switches the bonus off.

    Raises:
        ValueError: `coef` is not finite.

    Reference:
        Williams and Peng, Function optimization using connectionist reinforcement learning algorithms, 1991.

    Example:
        >>> bonus = Constant(coef=0.002)
        >>> bonus.coefficient(bonus.update(bonus.init(), entropy=0.3))
        0.002
    """

    coef: float

    def __post_init__(self) -> None:
        require_finite("coef", self.coef)

    def init(self) -> ConstantState:
        """Return the empty state."""
        return ConstantState()

    def coefficient(self, state: ConstantState) -> float:
        """Return `coef`."""
        return float(self.coef)

    def update(self, state: ConstantState, *, entropy: float) -> ConstantState:
        """Return the state unchanged."""
        measured(entropy)
        return state
