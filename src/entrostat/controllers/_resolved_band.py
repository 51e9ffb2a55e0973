"""The band in force, for the log."""

from __future__ import annotations

from typing import Any

from entrostat.controllers._annealed import Annealed
from entrostat.controllers._band import Band
from entrostat.controllers._base import Controller


def resolved_band(controller: Controller[Any], state: Any) -> tuple[float, float] | None:
    """Return the edges, nats per token, that the controller keeps the entropy between right now.

    Args:
        controller: any controller; a wrapper answers for the one it wraps.
        state: its state.

    Returns:
        `(low, high)`; `None` if the law has no band or still measures it.

    Example:
        >>> aent = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
        >>> resolved_band(aent, aent.init())
        (0.15, 0.24)
    """
    match controller:
        case Band():
            return controller.band(state)
        case Annealed():
            return resolved_band(controller.controller, state.inner)
        case _:
            return None
