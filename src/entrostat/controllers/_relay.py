"""A relay: one of two values, by the side of a threshold that the entropy is on."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from entrostat.controllers._base import measured, require_nonnegative
from entrostat.errors import require_finite


class RelayState(NamedTuple):
    low: bool  # whether the last entropy was below the threshold


@dataclasses.dataclass(frozen=True, kw_only=True)
class Relay:
    """Apply one value while the entropy H is below the threshold, another while it is not.

        low  = H < threshold        (H <= threshold if `inclusive`)
        coef = below if low else above

    Before the first measurement the entropy counts as low. The law has no memory beyond the last window, so it
    switches to and fro around the threshold rather than settles.

    Args:
        threshold: nats per token.
        below: coefficient while the entropy is low.
        above: coefficient otherwise.
        inclusive: whether an entropy equal to the threshold counts as low.

    Raises:
        ValueError: a negative threshold, a number that is not finite.

    Reference:
        STARE, arXiv 2606.19236 (its gate); AEPO, arXiv 2510.08141 (its two temperatures).

    Example:
        >>> relay = Relay(threshold=0.5, below=1.2, above=0.8)
        >>> relay.coefficient(relay.init()), relay.coefficient(relay.update(relay.init(), entropy=0.6))
        (1.2, 0.8)
    """

    threshold: float
    below: float
    above: float
    inclusive: bool = False

    def __post_init__(self) -> None:
        require_nonnegative("threshold", self.threshold)
        require_finite("below", self.below)
        require_finite("above", self.above)

    def init(self) -> RelayState:
        """Return the state before any measurement: low."""
        return RelayState(low=True)

    def coefficient(self, state: RelayState) -> float:
        """Return the value of the side the entropy is on."""
        return float(self.below if state.low else self.above)

    def update(self, state: RelayState, *, entropy: float) -> RelayState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        return RelayState(low=value < self.threshold or (self.inclusive and value == self.threshold))
