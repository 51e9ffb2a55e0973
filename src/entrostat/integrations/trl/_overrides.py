"""A recipe is never a silent no-op: our overrides of TRL's methods are checked, and an unseen step is an error.

A release of TRL that renames a hook, and a subclass that overrides one without calling ours, both leave a trainer that
trains as if it had no recipe. The first is seen when the integration is imported, the second before the first update.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar

from transformers import TrainerCallback

from entrostat.control import UnseenError
from entrostat.integrations.trl._selfcheck import refuse_release

F = TypeVar("F", bound=Callable[..., Any])


def overrides(base: type) -> Callable[[F], F]:
    """Mark a method as an override of one that `base` itself defines; `verify_overrides` reads the mark."""

    def mark(method: F) -> F:
        method.__dict__["overrides"] = base
        return method

    return mark


def verify_overrides(cls: type) -> None:
    """Raise `UnsupportedHostError` unless every method of `cls` that is meant to override one of the host's does.

    A hook that a release renames would otherwise never be called, and a recipe would train as if it were none. Each
    override must exist in the base it is marked with, and take the parameters that ours names, in the same order.
    """
    import trl

    for name, method in vars(cls).items():
        base = method.__dict__.get("overrides") if isinstance(method, FunctionType) else None
        if base is None:
            continue
        theirs = vars(base).get(name)
        if theirs is None:
            refuse_release(trl.__version__, f"it has no {base.__name__}.{name}")
        named = [
            parameter.name
            for parameter in inspect.signature(method).parameters.values()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        found = list(inspect.signature(theirs).parameters)
        if found[: len(named)] != named:
            refuse_release(trl.__version__, f"its {base.__name__}.{name} takes {found}, not {named}")


@contextmanager
def naming_overrides(trainer: object, *hooks: str) -> Generator[None]:
    """In an `UnseenError`, name a subclass's overrides of some hooks.

    Args:
        trainer: the trainer, perhaps of a subclass.
        *hooks: names of methods.
    """
    try:
        yield
    except UnseenError as error:
        # A subclass comes before the class whose methods carry our marks.
        found: list[str] = []
        for cls in type(trainer).__mro__:
            if any("overrides" in getattr(method, "__dict__", {}) for method in vars(cls).values()):
                break
            found += [f"{cls.__name__}.{name}" for name in hooks if name in vars(cls)]
        if not found:
            raise
        raise UnseenError(f"{error} Overridden here: {', '.join(found)}.") from error


class Watch(TrainerCallback):
    """Tells the trainer when training begins, and stops it before an update of the weights that the recipe missed."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Only now is the run's length known and a checkpoint read.
        self._trainer.begin(state.max_steps)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer = self._trainer
        if not trainer._step_closed:
            with naming_overrides(trainer, "compute_loss", "training_step"):
                raise UnseenError(
                    f"an optimizer step came without recipe {trainer.recipe.name!r} having seen its micro-batches: it "
                    "would train as if there were no recipe. Call `super().compute_loss`."
                )
        trainer._step_closed = False
