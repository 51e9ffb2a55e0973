"""The example's settings are settings of verl's, and its recipe and actor go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .example import arguments


def composed(overrides: list[str]) -> Any:
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=overrides)


def test_verls_configuration_takes_every_setting(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    more = ["+ray_kwargs.ray_init.address=auto", "trainer.total_epochs=1"]
    config = composed(arguments(tmp_path, *more, NODES="2", GPUS="8"))
    OmegaConf.resolve(config)
    assert (config.trainer.nnodes, config.trainer.n_gpus_per_node, config.trainer.total_epochs) == (2, 8, 1)
    assert config.trainer.v1.trainer_mode == "entrostat_sync"


def test_its_recipe_and_actor_go_together(tmp_path: Path) -> None:
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    from entrostat.integrations.verl import Driver, EntropyLoss
    from entrostat.integrations.verl._trainer import recipe_of, updates_of

    config = composed(arguments(tmp_path))
    validate_config(config=config, use_reference_policy=False, use_critic=False)
    recipe, updates = recipe_of(config), updates_of(config)
    EntropyLoss(config=omega_conf_to_dataclass(config.actor_rollout_ref.actor), recipe=recipe)
    assert Driver(recipe, total_steps=100, updates=updates).regulator.coefficient == 0.002
    assert updates == 4
