"""A controller's state as a plain dict, and back: refused unless it is exactly the state of that controller.

    {"schema": 1, "controller": "Band", "settings": {"low": 0.15, ...}, "state": {"coef": 0.002, "updates": 7, ...}}

A dict, not the NamedTuple, because `torch.load` with its default `weights_only=True` accepts only that, and JSON keeps
every float bit for bit. The settings travel along: a state means something under the settings it grew up with only.
What the host binds (the length of the run) is left out, so a run may be resumed for longer.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from entrostat.controllers._base import RUN_LENGTH, Controller, is_controller
from entrostat.errors import require_fields

SCHEMA = 1
_FIELDS = ("schema", "controller", "settings", "state")

S = TypeVar("S", bound=tuple[Any, ...])


def state_to_dict(controller: Controller[S], state: S) -> dict[str, Any]:
    """Return a state as a JSON-able dict.

    Args:
        controller: the controller the state belongs to.
        state: what its `init` or `update` returned.

    Raises:
        ValueError: the state is another controller's.

    Example:
        >>> from entrostat.controllers import Constant
        >>> state_to_dict(Constant(coef=0.1), Constant(coef=0.1).init())
        {'schema': 1, 'controller': 'Constant', 'settings': {'coef': 0.1}, 'state': {}}
    """
    saved = {"schema": SCHEMA, "controller": _kind(controller), "settings": _settings(controller)}
    values = _values(state)
    _restored(_kind(controller), controller.init(), values)
    return {**saved, "state": values}


def state_from_dict(controller: Controller[S], saved: Mapping[str, Any]) -> S:
    """Return the state that `state_to_dict` wrote, bit for bit.

    Args:
        controller: a controller with the settings the state was saved under.
        saved: the dict, possibly by way of JSON.

    Raises:
        ValueError: another schema, controller or settings; a missing, unknown or wrongly typed field.

    Example:
        >>> from entrostat.controllers import Constant, Step
        >>> saved = state_to_dict(Constant(coef=0.1), Constant(coef=0.1).init())
        >>> state_from_dict(Step(target=0.2, delta=1e-4, ceiling=5e-3), saved)
        Traceback (most recent call last):
        ValueError: this is the state of `Constant`, not of `Step`.
    """
    kind = _kind(controller)
    require_fields(f"the saved state of `{kind}`", _FIELDS, saved)
    if saved["schema"] != SCHEMA:
        raise ValueError(f"the saved state of `{kind}` has schema {saved['schema']!r}, this version reads {SCHEMA}.")
    if saved["controller"] != kind:
        raise ValueError(f"this is the state of `{saved['controller']}`, not of `{kind}`.")
    if saved["settings"] != _settings(controller):
        raise ValueError(
            f"this state of `{kind}` was saved under other settings: {saved['settings']}, "
            f"not {_settings(controller)}. Build the controller with the saved settings, or start a new state."
        )
    return cast(S, _restored(kind, controller.init(), saved["state"]))


def _kind(controller: Controller[Any]) -> str:
    return type(controller).__name__


def _settings(controller: Controller[Any]) -> dict[str, Any]:
    """Return what the user chose, nested controllers included, without what the host bound."""
    chosen: dict[str, Any] = {}
    for field in dataclasses.fields(controller):
        if RUN_LENGTH in field.metadata:
            continue
        value = getattr(controller, field.name)
        nested = is_controller(value)
        chosen[field.name] = {"controller": _kind(value), "settings": _settings(value)} if nested else value
    return chosen


def _values(state: Any) -> dict[str, Any]:
    """Return a NamedTuple's fields; a nested one becomes a dict too."""
    return {name: _values(value) if isinstance(value, tuple) else value for name, value in state._asdict().items()}


def _restored(kind: str, template: Any, values: Any) -> Any:
    """Return `values` as a state like `template`, which says how each field is called and typed."""
    require_fields(f"the state of `{kind}`", template._fields, values)
    fields = {name: _restored_field(kind, name, like, values[name]) for name, like in template._asdict().items()}
    return type(template)(**fields)


def _restored_field(kind: str, name: str, like: Any, value: Any) -> Any:
    if isinstance(like, tuple):
        return _restored(kind, like, value)
    # type(), since True is an int to isinstance, and a float that lost its point was edited by something else.
    if type(value) is not type(like) or not math.isfinite(value):
        raise ValueError(
            f"field {name!r} in the state of `{kind}` must be a finite {type(like).__name__}, got {value!r}."
        )
    return value
