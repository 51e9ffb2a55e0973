"""The controller on verl's driver: one process, one number sent with the data, one update per rollout batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from entrostat.batch import TokenBatch
from entrostat.control import QUANTITIES, Control
from entrostat.integrations.host import read_state, write_state
from entrostat.integrations.verl._batch import EDITED, FACTS
from entrostat.integrations.verl._loss import SUM
from entrostat.integrations.verl._refusals import OFFERS, refuse_window
from entrostat.recipes import Recipe
from entrostat.regulator import Regulator

_SUMS = (*QUANTITIES, "tokens", "bonus", "signal", "signal_tokens")


class Driver:
    """Hold the recipe's `Control` of a run; feed it the sums that the workers' metrics carry.

    Logged as `actor/entrostat/*`: `entropy`, `clamped_entropy`, `gap` (their difference), `kept_mass`, `coef` (as
    applied in that step), `bonus` (what the terms added to the loss), `band_low` and `band_high` with a band.

    Args:
        recipe: the recipe.
        total_steps: driver steps of the whole run.
        updates: optimizer steps in each of them.

    Raises:
        ValueError: the controller's window is one that the driver never sees.
    """

    def __init__(self, recipe: Recipe, *, total_steps: int, updates: int = 1) -> None:
        refuse_window(recipe, updates)
        self.control = Control(recipe, total_steps=total_steps, total_rollouts=total_steps, world_size=1, offers=OFFERS)
        self._total, self._updates = total_steps, updates
        self._seen: int | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe at work."""
        return self.control.recipe

    @property
    def regulator(self) -> Regulator:
        """The controller and its window."""
        return self.control.regulator

    def facts(self, step: int) -> dict[str, Any]:
        """Return the facts to send to the workers beside the data of a driver step.

        Args:
            step: driver steps done.
        """
        facts = {"coef": self.control.coefficient, **self._progress(step)}
        return {FACTS[name][0]: value for name, value in facts.items()} | {EDITED: self._seen == step}

    def _progress(self, step: int) -> dict[str, int]:
        return {"step": step * self._updates, "total_steps": self._total * self._updates}

    def see(self, batch: TokenBatch, step: int) -> TokenBatch:
        """Show a whole batch of fresh rollouts to the controller, and return it as the rollout edits leave it.

        Random draws depend on the step alone, so a resumed run repeats them.

        Args:
            batch: the rollouts of all ranks, before the first update on them.
            step: driver steps done.
        """
        batch = batch.replace(**self._progress(step))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step)
            batch = self.control.fresh(batch)
        self._seen = step
        return batch

    def close(self, metrics: dict[str, Any], prefix: str = "actor/") -> None:
        """Replace the workers' sums in verl's reduced metrics by means, and let the controller move once.

        Args:
            metrics: verl's metrics of the step, changed in place.
            prefix: prefix of verl's names.

        Raises:
            RuntimeError: the sums are not there.
        """
        if missing := sorted(name for name in _SUMS if prefix + SUM + name not in metrics):
            raise RuntimeError(f"the workers reported no {', '.join(missing)}: entrostat's loss is not in use there.")
        sums = {name: torch.tensor(float(metrics.pop(prefix + SUM + name)), dtype=torch.float64) for name in _SUMS}
        self.control.add(sums)
        metrics.update({f"{prefix}entrostat/{name}": value for name, value in self.control.close_step().items()})
        self.control.close_rollout()

    def save(self, folder: str | Path) -> None:
        """Write the state into a checkpoint folder of verl's, made if need be."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_state(Path(folder), {"recipe": self.recipe.name, "control": self.control.state_dict()})

    def load(self, folder: str | Path) -> None:
        """Continue from a checkpoint folder.

        Raises:
            ValueError: no state there, a damaged one, or that of another recipe or controller.
        """
        self.control.load_state_dict(read_state(Path(folder), recipe=self.recipe.name)["control"])
