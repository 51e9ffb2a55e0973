"""What every control law shares: the protocol, the measured entropy's check, the box."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any, ClassVar, Protocol, TypeGuard, TypeVar

from entrostat.errors import require, require_finite, sentence

S = TypeVar("S", bound=tuple[Any, ...])

RUN_LENGTH = "run_length"
"""Metadata key of a field that the host fills with the length of the run: a fact, not a setting."""


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
