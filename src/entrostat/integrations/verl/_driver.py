"""The controller's side on verl's driver: one process, one number sent with the data, one update per rollout batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from entrostat.batch import TokenBatch
from entrostat.integrations._hosts import signal
from entrostat.integrations._state import read_state, write_state
from entrostat.integrations.verl._batch import EDITED, FACTS
from entrostat.integrations.verl._loss import PREFIX, SUMS
from entrostat.integrations.verl._refusals import refuse_window
from entrostat.recipes import Recipe
from entrostat.regulator import Regulator

_OWN = {f"{PREFIX}{name}_sum" for name in (*SUMS, "tokens", "signal_tokens")} | {f"{PREFIX}bonus"}


class Driver:
    """Hold the regulator of a run; feed it the sums that the workers' metrics carry.

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
        self.recipe = recipe
        self.regulator = Regulator(recipe.controller, window=recipe.window)
        self.regulator.bind_total(total_steps)
        self._total, self._updates = total_steps, updates
        self._seen: int | None = None

    def facts(self, step: int) -> dict[str, Any]:
        """Return what to send to the workers beside the data of a driver step.

        Args:
            step: driver steps done.
        """
        facts = {"coef": self.regulator.coefficient, **self._progress(step)}
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
        self.regulator.observe_fresh(*signal(self.recipe, batch))
        batch = batch.replace(coef=self.regulator.coefficient)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step)
            for edit in self.recipe.rollout_edits:
                batch = edit(batch)
        self._seen = step
        return batch

    def close(self, metrics: dict[str, Any], prefix: str = "actor/") -> None:
        """Replace the workers' sums in verl's reduced metrics by means, and let the controller move once.

        Args:
            metrics: verl's metrics of the step, changed in place.
            prefix: what verl put before the names.

        Raises:
            RuntimeError: the sums are not there.
        """
        if missing := sorted(_OWN - {key.removeprefix(prefix) for key in metrics}):
            raise RuntimeError(f"the workers reported no {', '.join(missing)}: entrostat's loss is not in use there.")
        sums = {key.removeprefix(PREFIX): float(metrics.pop(prefix + key)) for key in _OWN}
        tokens, counted = sums["tokens_sum"], sums["signal_tokens_sum"]
        means = {name: sums[f"{name}_sum"] / max(tokens, 1.0) for name in SUMS[:-1]}
        means |= {"gap": means["entropy"] - means["clamped_entropy"], "bonus": sums["bonus"]}
        means["coef"] = self.regulator.coefficient
        if band := self.regulator.band:
            means["band_low"], means["band_high"] = band
        metrics.update({f"{prefix}{PREFIX}{name}": value for name, value in means.items()})
        if counted:
            mean = torch.tensor([[sums["signal_sum"] / counted]], dtype=torch.float64)
            self.regulator.observe(mean, torch.ones_like(mean))
        self.regulator.close_step()
        self.regulator.close_rollout()

    def save(self, folder: str | Path) -> None:
        """Write the state into a checkpoint folder of verl's, made if need be."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_state(Path(folder), {"recipe": self.recipe.name, "regulator": self.regulator.state_dict()})

    def load(self, folder: str | Path) -> None:
        """Continue from a checkpoint folder.

        Raises:
            ValueError: no state there, a damaged one, or that of another recipe or controller.
        """
        self.regulator.load_state_dict(read_state(Path(folder), recipe=self.recipe.name)["regulator"])
