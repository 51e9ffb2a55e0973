"""Shared by all control laws: the protocol, the checks, the length of the run, and saved states."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeGuard, TypeVar, cast

from entrostat.errors import require, require_count, require_fields, require_finite, sentence

S = TypeVar("S", bound=tuple[Any, ...])
C = TypeVar("C", bound="Controller[Any]")

RUN_LENGTH = "run_length"
"""Metadata key of a field that the host fills with the length of the run: a fact, not a setting."""

SCHEMA = 1
_FIELDS = ("schema", "controller", "settings", "state")


class Controller(Protocol[S]):
    """A law from measured entropy to a coefficient: frozen settings here, everything that changes in the state `S`.

    `S` is a NamedTuple of plain float, int and bool (a wrapper's holds the wrapped one's state as a field). Plain
    numbers need no device sync, are the same on every rank and survive JSON bit for bit. Reading is apart from
    updating because all micro-batches of one optimizer step must use one coefficient.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    """A frozen dataclass: checkpoints compare its fields, the settings."""

    def init(self) -> S:
        """Return the state before any entropy was measured."""
        ...

    def coefficient(self, state: S) -> float:
        """Return the coefficient to apply in this state; any number of reads change nothing."""
        ...

    def update(self, state: S, *, entropy: float) -> S:
        """Return the state after a window whose global mean entropy was `entropy` (nats per token).

        Entropy that is not finite returns the same state and warns with `NonFiniteEntropyWarning`.
        """
        ...


def is_controller(value: object) -> TypeGuard[Controller[Any]]:
    """Return whether a setting is itself a controller, as in a wrapper: the only settings that are dataclasses."""
    return dataclasses.is_dataclass(value)


class NonFiniteEntropyWarning(UserWarning):
    """A measured entropy was NaN or infinite, and the controller ignored it."""


def measured(entropy: float) -> float | None:
    """Return the entropy as a plain float, or `None`, with a warning, if the controller must ignore it."""
    if isinstance(entropy, bool) or not isinstance(entropy, int | float):
        raise TypeError(sentence("entropy", "be a plain number", entropy, "Call `.item()` once per window."))
    if math.isfinite(entropy):
        return float(entropy)
    text = sentence("entropy", "be finite", entropy, "The controller keeps its state.")
    # Three levels up from here: measured, update, its caller.
    warnings.warn(text, NonFiniteEntropyWarning, stacklevel=3)
    return None


def clip(value: float, floor: float, ceiling: float) -> float:
    """Return the nearest value in [floor, ceiling]; a float even where a bound was given as an int."""
    return float(min(max(value, floor), ceiling))


def require_nonnegative(name: str, value: float, remedy: str = "") -> None:
    """Raise unless `value` is a finite number of at least zero."""
    require(require_finite(name, value, remedy) >= 0, name, "be at least 0", value, remedy)


def require_box(*, floor: float, initial: float, ceiling: float) -> None:
    """Raise unless floor <= initial <= ceiling, all finite."""
    for name, value in (("floor", floor), ("initial", initial), ("ceiling", ceiling)):
        require_finite(name, value)
    require(floor <= ceiling, "floor", f"be at most `ceiling`={ceiling!r}", floor)
    box = f"lie in [`floor`, `ceiling`] = [{floor!r}, {ceiling!r}]"
    require(floor <= initial <= ceiling, "initial", box, initial)


def require_total(total: int | None) -> None:
    """Raise unless a length of the run is a positive integer, or not bound yet."""
    if total is not None:
        require_count("total", total, least=1)


def bound_total(total: int | None) -> int:
    """Return the length of the run; raise if the host has not bound it."""
    if total is None:
        remedy = "Bind the length of the run: `with_total(controller, total)`."
        raise ValueError(sentence("total", "be known before the coefficient is", None, remedy))
    return total


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


# A saved state is a plain dict, which is rejected unless it is exactly the state of this controller:
#
#     {"schema": 1, "controller": "Band", "settings": {"low": 0.15, ...}, "state": {"coef": 0.002, "updates": 7, ...}}
#
# A dict and not the NamedTuple, because `torch.load` with its default `weights_only=True` accepts only that, and JSON
# keeps every float bit for bit. The settings are saved too, because a state means something only under the settings it
# grew up with. Settings that the host binds (the length of the run) are left out, so that a resumed run may be longer.


def state_to_dict(controller: Controller[S], state: S) -> dict[str, Any]:
    """Return a state as a JSON-able dict.

    Args:
        controller: the controller the state belongs to.
        state: returned by its `init` or `update`.

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
    """Return the user's settings, nested controllers included, without those that the host bound."""
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
    """Return `values` as a state like `template`, which gives the name and type of each field."""
    require_fields(f"the state of `{kind}`", template._fields, values)
    fields: dict[str, Any] = {}
    for name, like in template._asdict().items():
        value = fields[name] = values[name]
        if isinstance(like, tuple):
            fields[name] = _restored(kind, like, value)
        # type(), since True is an int to isinstance, and a float that lost its point was edited by something else.
        elif type(value) is not type(like) or not math.isfinite(value):
            wanted = f"must be a finite {type(like).__name__}, got {value!r}."
            raise ValueError(f"field {name!r} in the state of `{kind}` {wanted}")
    return type(template)(**fields)
