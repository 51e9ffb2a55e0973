"""The trainer's hooks around verl's own methods, with workers that answer by rote: no GPU, no Ray."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from entrostat import recipes
from entrostat.integrations.host import STATE_FILE


def trainer(folder: Path, entropy: float = 0.2) -> Any:
    from omegaconf import OmegaConf

    from entrostat.integrations.verl._trainer import EntropyPPOTrainerSync

    actor = {"ppo_mini_batch_size": 8, "calculate_entropy": True, "entropy_coeff": 0.0, "ppo_epochs": 1}
    actor |= {"data_loader_seed": 1, "shuffle": False}
    own = {"default_local_dir": str(folder), "resume_mode": "auto", "resume_from_path": None, "default_hdfs_dir": None}
    own |= {"del_local_ckpt_after_load": False, "max_actor_ckpt_to_keep": None}
    made = EntropyPPOTrainerSync.__new__(EntropyPPOTrainerSync)
    made.recipe = recipes.aent(low=0.5, high=1.0, initial=0.1, rate=0.1, ceiling=1.0, warmup=0)
    made._driver = None
    made.config = OmegaConf.create(
        {
            "data": {"train_batch_size": 8},
            "actor_rollout_ref": {"actor": actor, "rollout": {"n": 2, "temperature": 1.0}},
            "trainer": own,
        }
    )
    made.global_steps, made.total_training_steps, made.use_critic, made.trainer_mode = 1, 10, False, "sync"
    made.checkpoint_callback = MagicMock()
    made.train_dataloader = MagicMock(state_dict=dict)
    sums = dict.fromkeys(("entropy", "clamped_entropy", "signal"), 40 * entropy)
    sums |= {"kept_mass": 40.0, "tokens": 40.0, "signal_tokens": 40.0}
    metrics = {f"entrostat/sum/{name}": [value] for name, value in sums.items()}
    answer = {"metrics": {**metrics, "entrostat/sum/bonus": [-0.1], "mfu": [0.0]}}
    made.actor_rollout_wg = MagicMock()
    made.actor_rollout_wg.update_actor.side_effect = lambda batch: {"metrics": dict(answer["metrics"])}
    return made


def test_a_step_sends_the_coefficient_and_moves_it(tmp_path: Path) -> None:
    host, batch, metrics = trainer(tmp_path), SimpleNamespace(extra_info={}), {}
    host._update_actor(batch, metrics)
    assert batch.extra_info["entrostat_coef"] == 0.1
    assert batch.extra_info["mini_batch_size"] == 16
    assert metrics["actor/entrostat/entropy"] == pytest.approx(0.2)
    host._update_actor(batch, metrics)
    assert batch.extra_info["entrostat_coef"] == pytest.approx(0.13)


def test_verls_save_and_load_carry_the_state(tmp_path: Path) -> None:
    host = trainer(tmp_path)
    host._update_actor(SimpleNamespace(extra_info={}), {})
    host._save_checkpoint()
    again = trainer(tmp_path)
    again._load_checkpoint()
    assert again.global_steps == 1
    assert again.driver.regulator.state_dict() == host.driver.regulator.state_dict()
    (tmp_path / "global_step_1" / STATE_FILE).unlink()
    with pytest.raises(ValueError, match="written without entrostat"):
        trainer(tmp_path)._load_checkpoint()


def test_the_engine_is_asked_in_the_pass_over_fresh_rollouts_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    asked: list[dict[str, Any]] = []

    def old_pass(self: object, batch: Any, metrics: object) -> Any:
        asked.append(dict(batch.extra_info))
        return batch

    monkeypatch.setattr(PPOTrainerSync, "_compute_old_log_prob", old_pass)
    host, batch = trainer(tmp_path), SimpleNamespace(extra_info={"temperature": 0.7})
    for recipe in (host.recipe, recipes.siren(), recipes.ucas()):
        host.recipe = recipe
        assert host._compute_old_log_prob(batch, {}).extra_info == {"temperature": 0.7}
    plain, siren, ucas = ({key: each[key] for key in each if key != "temperature"} for each in asked)
    assert plain == {}
    assert siren == {"entrostat_measure": recipes.siren().measure}
    assert ucas == {"entrostat_measure": recipes.ucas().measure, "entrostat_logit_stats": True}
