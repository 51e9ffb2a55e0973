"""Tell a controller how long the run is, if it asks."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from entrostat.controllers._base import RUN_LENGTH, Controller, is_controller
from entrostat.errors import require_count

C = TypeVar("C", bound=Controller[Any])


def needs_total(controller: Controller[Any]) -> bool:
    """Return whether some part of the controller waits for the length of the run.

    Example:
        >>> from entrostat.controllers import Annealed, Constant
        >>> needs_total(Constant(coef=0.1)), needs_total(Annealed(Constant(coef=0.1)))
        (False, True)
    """
    return bool(_unbound(controller, total=1))


def with_total(controller: C, total: int) -> C:
    """Return the controller with every part that depends on the length of the run bound; the same one if none does.

    Args:
        controller: any controller. A `total` it already has is kept.
        total: closed windows in the whole run: optimizer steps, or rollout batches for a Regulator that counts those.

    Raises:
        ValueError: `total` is below 1.

    Example:
        >>> from entrostat.controllers import Annealed, Constant
        >>> with_total(Annealed(Constant(coef=0.1)), 200).total
        200
    """
    require_count("total", total, least=1)
    changes = _unbound(controller, total=total)
    return dataclasses.replace(controller, **changes) if changes else controller


def _unbound(controller: Controller[Any], *, total: int) -> dict[str, Any]:
    """Return the fields that wait for the length of the run, each with its bound value."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(controller):
        value = getattr(controller, field.name)
        if value is None and RUN_LENGTH in field.metadata:
            changes[field.name] = total
        elif is_controller(value) and needs_total(value):
            changes[field.name] = with_total(value, total)
    return changes
