"""verl's synchronous trainer with a recipe: it installs the loss, sends the coefficient, and keeps the controller.

Importing this module registers the trainer.
"""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUntypedClassDecorator=false
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf, open_dict
from verl.trainer.ppo.v1.trainer_base import PPOTrainer, register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from entrostat.integrations.host import UnsupportedHostError, broken_override, overrides
from entrostat.integrations.verl._config import EntropyConfig
from entrostat.integrations.verl._driver import Driver
from entrostat.integrations.verl._loss import EntropyLoss
from entrostat.integrations.verl._refusals import TRAINER as NAME
from entrostat.integrations.verl._refusals import refuse_actor, refuse_run
from entrostat.integrations.verl._rollouts import measuring_request, read, sees_rollouts, write
from entrostat.recipes import Recipe


class EntropyPPOTrainerSync(PPOTrainerSync):
    """verl's `sync` trainer, chosen by `trainer.v1.trainer_mode=entrostat_sync`, which the Hydra group sets.

    Once per step: the recipe sees the fresh rollouts, if it asks for them; the coefficient goes to the workers with
    the data, their sums come back with the metrics, and the controller moves. Its state is a file in every checkpoint
    folder.

    Raises:
        ValueError: the recipe and verl's settings cannot go together.
    """

    config: Any
    actor_rollout_wg: Any
    global_steps: Any
    total_training_steps: Any

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        self.recipe = recipe_of(config)
        refuse_actor(config.actor_rollout_ref.actor, self.recipe)
        refuse_run(config, self.recipe)
        self._driver: Driver | None = None
        # verl has done so in its own entry point; elsewhere the group's check must see the mode as it was chosen.
        OmegaConf.resolve(config)
        with open_dict(config):
            # verl asks for "sync" by name in several places.
            config.trainer.v1.trainer_mode = "sync"
            config.actor_rollout_ref.actor.calculate_entropy = True
        super().__init__(config, *args, **kwargs)

    @property
    def driver(self) -> Driver:
        """The controller, made when it is first asked for: verl knows the run's length only after its `__init__`."""
        if self._driver is None:
            total, updates = int(self.total_training_steps), updates_of(self.config)
            self._driver = Driver(self.recipe, total_steps=total, updates=updates)
        return self._driver

    @overrides(PPOTrainerSync)
    def on_init_end(self) -> None:
        """Put the loss into the workers."""
        from verl.utils.config import omega_conf_to_dataclass

        config = omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)
        self.actor_rollout_wg.set_loss_fn(EntropyLoss(config=config, recipe=self.recipe))
        super().on_init_end()

    @overrides(PPOTrainer)
    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        asked = measuring_request(self.recipe)
        batch.extra_info.update(asked)
        batch = super()._compute_old_log_prob(batch, metrics)
        # No later pass is over the policy that wrote them.
        for key in asked:
            batch.extra_info.pop(key, None)
        return batch

    def _see_rollouts(self, batch: Any) -> None:
        """Show the rollouts to the recipe, before any update on them; keep its changes."""
        refs = self.config.actor_rollout_ref
        rollouts = read(batch, self.recipe, refs.actor, refs.rollout.temperature)
        seen = self.driver.see(rollouts, self.global_steps - 1)
        write(batch, rollouts, seen)
        if seen.logit_scale is not None:
            # The ratio compares like with like: the old log-probs are taken again, under the same scale.
            super()._compute_old_log_prob(copy.deepcopy(batch), {})

    @overrides(PPOTrainer)
    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        if sees_rollouts(self.recipe):
            self._see_rollouts(batch)
        batch.extra_info.update(self.driver.facts(self.global_steps - 1))
        batch = super()._update_actor(batch, metrics)
        self.driver.close(metrics)
        return batch

    @overrides(PPOTrainer)
    def _save_checkpoint(self) -> None:
        # First: verl ends by naming this folder the latest, and from then on it must be whole.
        self.driver.save(Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}")
        super()._save_checkpoint()

    @overrides(PPOTrainer)
    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if self.global_steps:
            trainer = self.config.trainer
            resumed = Path(trainer.default_local_dir) / f"global_step_{self.global_steps}"
            self.driver.load(trainer.resume_from_path if trainer.resume_mode == "resume_path" else resumed)


if reason := broken_override(EntropyPPOTrainerSync):
    raise UnsupportedHostError(f"this verl cannot carry entrostat's trainer: {reason}.")
register_trainer(NAME)(EntropyPPOTrainerSync)


def recipe_of(config: Any) -> Recipe:
    """Return the recipe that verl's configuration names.

    Raises:
        TypeError: a setting of another type.
        ValueError: it names none, or one that cannot be built.
    """
    node = config.get("entrostat")
    if node is None:
        raise ValueError(
            f"trainer_mode={NAME} needs a recipe: add `hydra.searchpath=[pkg://entrostat.integrations.verl.config] "
            "+entrostat=control entrostat.recipe=NAME` to the command."
        )
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    return EntropyConfig.read(plain).build()


def updates_of(config: Any) -> int:
    """Return the optimizer steps verl makes per rollout batch."""
    actor = config.actor_rollout_ref.actor
    return max(1, config.data.train_batch_size // actor.ppo_mini_batch_size) * actor.ppo_epochs
