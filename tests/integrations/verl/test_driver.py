"""The controller on verl's driver: one move per step, the same after save and load, and loud where it cannot work."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from entrostat import recipes
from entrostat.batch import TokenBatch
from entrostat.integrations.host import STATE_FILE
from entrostat.integrations.verl import Driver, EntropyConfig
from entrostat.recipes import Recipe

MANY = "several optimizer steps per rollout batch with entrostat.window=step"


def aent(window: str = "step") -> Any:
    return recipes.aent(low=0.5, high=1.0, initial=0.1, rate=0.1, floor=0.0, ceiling=1.0, warmup=0, window=window)  # pyright: ignore


def sums(entropy: float, tokens: float = 40.0) -> dict[str, Any]:
    """What verl's reduced metrics hold after a step in which every token had this entropy."""
    values = dict.fromkeys(("entropy", "clamped_entropy", "signal"), entropy * tokens)
    values |= {"kept_mass": tokens, "tokens": tokens, "signal_tokens": tokens}
    metrics = {f"actor/entrostat/sum/{name}": value for name, value in values.items()}
    return {**metrics, "actor/entrostat/sum/bonus": -0.1, "actor/pg_loss": 0.5}


def coefficients(driver: Driver, entropies: list[float]) -> list[float]:
    values = []
    for step, entropy in enumerate(entropies):
        values.append(driver.facts(step)["entrostat_coef"])
        driver.close(sums(entropy))
    return values


def test_the_coefficient_moves_once_per_step_by_the_law() -> None:
    driver = Driver(aent(), total_steps=4)
    assert coefficients(driver, [0.2, 0.2, 0.7, 1.2]) == pytest.approx([0.1, 0.13, 0.16, 0.16])
    assert driver.regulator.coefficient == pytest.approx(0.14)


@pytest.mark.parametrize("window", ["step", "rollout"])
@pytest.mark.feature("the controller's state in a checkpoint", "works", "bit for bit")
def test_saved_and_loaded_it_goes_on_bit_for_bit(tmp_path: Path, window: str) -> None:
    seen = [0.2, 0.31, 0.17, 1.4, 0.1]
    whole = coefficients(Driver(aent(window), total_steps=5), seen)
    first = Driver(aent(window), total_steps=5)
    before = coefficients(first, seen[:2])
    first.save(tmp_path / "global_step_2")
    second = Driver(aent(window), total_steps=5)
    second.load(tmp_path / "global_step_2")
    assert before + coefficients(second, seen[2:]) == whole


def test_a_law_on_fresh_rollouts_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = (Driver(recipes.siren(), total_steps=5) for _ in range(3))
    seen = [0.9, 0.4, 0.7, 0.2]
    expected = [fresh(whole, step, entropy) for step, entropy in enumerate(seen)]
    before = [fresh(first, step, entropy) for step, entropy in enumerate(seen[:2])]
    first.save(tmp_path)
    second.load(tmp_path)
    assert before + [fresh(second, 2 + step, entropy) for step, entropy in enumerate(seen[2:])] == expected
    assert len(set(expected)) == len(seen)


def fresh(driver: Driver, step: int, entropy: float) -> float:
    """Return the coefficient of a driver step whose rollouts have peaks of this entropy."""
    ones = torch.ones(1, 2)
    same = dict.fromkeys(("logprobs", "old_logprobs", "advantages", "mask", "entropy", "kept_mass"), ones)
    bounds = {"clip_low": ones, "clip_high": ones}
    driver.see(TokenBatch(clamped_entropy=torch.tensor([[0.1, entropy]]), **same, **bounds), step)
    coef = driver.facts(step)["entrostat_coef"]
    driver.close(sums(9.0))  # of no account to this law
    return coef


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"recipe": "aent"}', '{"recipe": "aent", "control": {}}'])
def test_a_damaged_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    with pytest.raises(ValueError, match=r"damaged|must have the fields"):
        Driver(aent(), total_steps=5).load(tmp_path)


def test_a_missing_or_foreign_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="written without entrostat"):
        Driver(aent(), total_steps=5).load(tmp_path)
    Driver(recipes.entropy_bonus(coef=0.1), total_steps=5).save(tmp_path)
    with pytest.raises(ValueError, match="of recipe 'entropy_bonus'"):
        Driver(aent(), total_steps=5).load(tmp_path)
    assert json.loads((tmp_path / STATE_FILE).read_text())["recipe"] == "entropy_bonus"


@pytest.mark.feature(MANY, "rejected")
def test_a_law_per_optimizer_step_is_refused_where_the_driver_sees_only_some(
    record_property: Callable[[str, str], None],
) -> None:
    with pytest.raises(ValueError, match=r"entrostat\.window=rollout") as caught:
        Driver(aent(), total_steps=5, updates=2)
    record_property(MANY, str(caught.value))
    assert Driver(aent("rollout"), total_steps=5, updates=2).facts(3)["entrostat_step"] == 6


ULYSSES = "actor_rollout_ref.actor.ulysses_sequence_parallel_size"
BYPASS = "algorithm.rollout_correction.bypass_mode=true with a recipe that measures fresh rollouts"


@pytest.mark.parametrize(
    ("override", "recipe", "feature"),
    [
        pytest.param(*row, marks=pytest.mark.feature(row[-1], "rejected"), id=row[0])
        for row in [
            ("algorithm.rollout_correction.bypass_mode=true", recipes.stare(), BYPASS),
            ("distillation.enabled=true", recipes.none(), "distillation.enabled=true"),
            (f"{ULYSSES}=2", recipes.era(), "Ulysses sequence parallelism with era"),
        ]
    ],
)
def test_a_run_that_leaves_the_recipe_no_place_is_refused(
    override: str, recipe: Recipe, feature: str, record_property: Callable[[str, str], None]
) -> None:
    from entrostat.integrations.verl._refusals import refuse_run

    name = override.split("=")[0].removeprefix("actor_rollout_ref.actor.")
    with pytest.raises(ValueError, match=f"`{name}` must be") as caught:
        refuse_run(composed(override), recipe)
    record_property(feature, str(caught.value))
    refuse_run(composed(), recipe)
    refuse_run(composed(BYPASS.split()[0], f"{ULYSSES}=2"), aent())


def test_workers_without_our_loss_are_named() -> None:
    with pytest.raises(RuntimeError, match="loss is not in use"):
        Driver(aent(), total_steps=5).close({"actor/pg_loss": 0.5})


def composed(*overrides: str) -> Any:
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        path = "hydra.searchpath=[pkg://entrostat.integrations.verl.config]"
        return compose("ppo_trainer", overrides=[path, "+entrostat=control", *overrides])


AENT = ["entrostat.recipe=aent", "+entrostat.parameters.low=0.15", "+entrostat.parameters.high=0.24"]


@pytest.mark.feature("the Hydra group (+entrostat=control)", "works")
def test_the_hydra_group_gives_typed_settings_and_chooses_the_trainer() -> None:
    from hydra.utils import instantiate

    from entrostat.integrations.verl._trainer import recipe_of

    config = composed(*AENT, "entrostat.window=rollout")
    settings = instantiate(config.entrostat)
    assert isinstance(settings, EntropyConfig)
    assert settings.build().window == "rollout"
    assert recipe_of(config).parameters["low"] == 0.15
    assert config.trainer.v1.trainer_mode == "entrostat_sync"


@pytest.mark.feature("a combination of recipes (entrostat.recipe=a+b)", "works")
def test_a_combination_has_a_table_of_parameters_per_recipe() -> None:
    from entrostat.integrations.verl._trainer import recipe_of

    band = ["+entrostat.parameters.aent.low=0.15", "+entrostat.parameters.aent.high=0.24"]
    both = recipe_of(composed("entrostat.recipe=aent+clip_higher", *band, "+entrostat.parameters.clip_higher.high=0.3"))
    assert both == recipes.aent(low=0.15, high=0.24).plus(recipes.clip_higher(high=0.3))


REFUSED = [
    (["+entrostat.recpie=aent"], ValueError, "unknown field of the group entrostat 'recpie'. Did you mean 'recipe'?"),
    (["entrostat.recipe=aemt"], ValueError, "unknown recipe 'aemt'. Did you mean 'aent'?"),
    (["entrostat.recipe=3"], TypeError, "`entrostat.recipe` must be the name of a recipe, got entrostat.recipe=3."),
    (["entrostat.recipe=null"], TypeError, "`entrostat.recipe` must be the name of a recipe"),
    (["entrostat.parameters=5"], TypeError, "`entrostat.parameters` must hold the recipe's settings by name"),
    (["entrostat.window=2"], TypeError, "`entrostat.window` must be step, rollout or null, got entrostat.window=2."),
    (["entrostat.window=fresh"], ValueError, "unknown window 'fresh'"),
    (
        [*AENT, "+entrostat.parameters.lwo=1"],
        ValueError,
        "unknown parameter of recipe 'aent' 'lwo'. Did you mean 'low'?",
    ),
    ([*AENT, "+entrostat.parameters.rate=fast"], TypeError, "`rate` must be a number, got rate='fast'."),
    (["entrostat.recipe=aent"], ValueError, "recipe 'aent' needs `low`, `high`"),
    (["~entrostat"], ValueError, "trainer_mode=entrostat_sync needs a recipe"),
]


@pytest.mark.parametrize(
    ("overrides", "kind", "says"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_key_type_or_value_is_refused_in_a_sentence(
    overrides: list[str], kind: type[Exception], says: str
) -> None:
    from entrostat.integrations.verl._trainer import recipe_of

    with pytest.raises(kind) as caught:
        recipe_of(composed(*overrides))
    assert says in str(caught.value)


@pytest.mark.parametrize("override", ["entrostat.recpie=aent", "entrostat=aent", "+entrostat.recipe=aent"])
def test_what_hydra_knows_nothing_of_it_refuses_itself(override: str) -> None:
    from hydra.errors import HydraException

    with pytest.raises(HydraException, match=r"recpie|'entrostat/aent'|already at 'entrostat\.recipe'"):
        composed(override)


@pytest.mark.parametrize(
    ("override", "task", "says"),
    [
        pytest.param(*row, marks=pytest.mark.feature(row[0], "rejected", row[-1]))
        for row in [
            ("trainer.v1.trainer_mode=sync", "main_ppo.TaskRunnerV1", "`trainer_mode` must be entrostat_sync"),
            (
                "trainer.v1.trainer_mode=colocate_async",
                "main_ppo.TaskRunnerV1",
                "`trainer_mode` must be entrostat_sync",
            ),
            ("trainer.use_v1=false", "main_ppo_v0.TaskRunner", "`trainer.use_v1` must be True"),
        ]
    ],
)
def test_verls_own_task_refuses_a_trainer_that_would_ignore_the_recipe(override: str, task: str, says: str) -> None:
    from omegaconf.errors import InterpolationResolutionError

    module, name = task.split(".")
    runner: Any = getattr(importlib.import_module(f"verl.trainer.{module}"), name)
    runner = runner.__ray_metadata__.modified_class if hasattr(runner, "__ray_metadata__") else runner
    with pytest.raises(InterpolationResolutionError) as caught:
        runner().run(composed(*AENT, override))
    assert f"{says} beside +entrostat=control" in str(caught.value)


def test_a_bare_value_in_place_of_the_group_is_refused() -> None:
    from omegaconf import OmegaConf

    from entrostat.integrations.verl._trainer import recipe_of

    with pytest.raises(TypeError, match=r"`entrostat` must be a group of settings, got entrostat='aent'\."):
        recipe_of(OmegaConf.create({"entrostat": "aent"}))
