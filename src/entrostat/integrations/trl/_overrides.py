"""A recipe is never a silent no-op: our overrides of TRL's methods are checked, and an unseen step is an error.

A release of TRL that renames a hook, and a subclass that overrides one without calling ours, both leave a trainer that
trains as if it had no recipe. The first is seen when the integration is imported, the second before the first update.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import trl
from transformers import TrainerCallback

from entrostat.control import UnseenError
from entrostat.integrations.host import broken_override
from entrostat.integrations.trl._selfcheck import refuse_release


def verify_overrides(cls: type) -> None:
    """Raise `UnsupportedHostError` unless every override of a class is one for the installed TRL."""
    if reason := broken_override(cls):
        refuse_release(trl.__version__, reason)


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
        remedy = "Nothing of TRL's is overridden here: please report it, with your versions."
        if found:
            remedy = f"Overridden here: {', '.join(found)}. Call `super()` there, so that the recipe sees it."
        raise UnseenError(error.problem, remedy) from None


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
                    "would train as if there were no recipe.",
                    "Call `super().compute_loss`.",
                )
        trainer._step_closed = False
