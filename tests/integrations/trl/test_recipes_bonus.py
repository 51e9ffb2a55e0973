"""The bonus recipes through TRL itself, on the tiny model: does what each claims to change change?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from entrostat import recipes

from .conftest import logged, needs_trl_s_kernel, tiny_model
from .test_trainer import prepared, split, step_gradient, uneven

Make = Callable[..., Any]
TWO_UPDATES: dict[str, Any] = {"steps_per_generation": 2, "per_device_train_batch_size": 4}


def trained(make_trainer: Make, recipe: recipes.Recipe, *, seed: int = 0, **settings: Any) -> Any:
    trainer = make_trainer(recipe, **settings)
    torch.manual_seed(seed)
    trainer.train()
    return trainer


def control(trainer: Any, name: str) -> list[float]:
    return logged(trainer, f"entropy_control/{name}")


# --- Skywork-OR1 -------------------------------------------------------------------------------


@needs_trl_s_kernel
@pytest.mark.train
def test_skywork_as_trl_has_it_trains_as_trl_does(make_trainer: Make) -> None:
    law: dict[str, Any] = {"target": 3.35, "delta": 0.3}
    ours = trained(make_trainer, recipes.skywork(variant="trl", **law), max_steps=6)
    theirs = make_trainer(
        None, max_steps=6, use_adaptive_entropy=True, entropy_target=law["target"], entropy_coef_delta=law["delta"]
    )
    torch.manual_seed(0)
    theirs.train()
    assert len(set(control(ours, "coef"))) > 2, "the coefficient is meant to move in this test"
    assert 0.0 in control(ours, "coef")[1:] or control(ours, "coef")[0] == 0.0
    assert logged(ours, "loss") == pytest.approx(logged(theirs, "loss"), rel=1e-4, abs=1e-6)
    for mine, original in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(mine, original, rtol=1e-3, atol=1e-5)


@pytest.mark.train
def test_skywork_pays_below_its_target_and_nothing_above(make_trainer: Make) -> None:
    kept = trained(make_trainer, recipes.skywork(target=9.0, delta=1.0, ceiling=9.0), max_steps=6, **TWO_UPDATES)
    plain = trained(make_trainer, recipes.none(), max_steps=6, **TWO_UPDATES)
    assert control(kept, "coef") == pytest.approx([0, 0, 1, 1, 2, 2]), "one step per rollout batch, from the next on"
    assert control(kept, "entropy")[-1] > control(plain, "entropy")[-1] + 0.02
    shut = trained(make_trainer, recipes.skywork(target=0.1, initial=0.005), max_steps=4, **TWO_UPDATES)
    assert control(shut, "coef") == [0.005, 0.005, 0.0, 0.0]


# --- EntroPIC ----------------------------------------------------------------------------------


def sharp_model() -> Any:
    """Return a model that is sure of some tokens from the start."""
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight.mul_(3)
    return model


@pytest.mark.train
def test_entropic_drives_the_entropy_to_either_side(make_trainer: Make) -> None:
    ends: list[float] = []
    for target in (0.01, 9.0):
        trainer = trained(
            make_trainer, recipes.entropic(target=target, kp=10.0, tau=0.5), model=sharp_model(), max_steps=8,
            per_device_train_batch_size=64, num_generations=8,
        )  # fmt: skip
        assert control(trainer, "coef")[1] == (1.0 if target < 1 else -1.0)
        ends.append(control(trainer, "entropy")[-1])
    assert ends[0] < ends[1] - 0.2


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo"])
def test_entropic_weighs_tokens_exactly_whatever_the_host_s_reduction(make_trainer: Make, loss_type: str) -> None:
    # Every token is selected. alpha = -1 leaves nothing where A > 0 and doubles it where A < 0; +1 the reverse.
    settings: dict[str, Any] = {"loss_type": loss_type, "scale_rewards": "none"}
    trainer = make_trainer(recipes.entropic(target=3.0, tau=0.0), **settings)
    inputs = uneven(prepared(trainer)[0])
    parts = split(inputs, [2, 6]) if loss_type == "dapo" else [inputs]
    trainer.args.steps_per_generation = len(parts)
    grads: dict[float, list[torch.Tensor]] = {}
    for alpha in (-1.0, 0.0, 1.0):
        trainer.regulator._state = trainer.regulator._state._replace(coef=alpha)
        grads[alpha] = step_gradient(trainer, parts)
        trainer.regulator._state = trainer.regulator.controller.init()
    for signs, alpha in ((1, 1.0), (-1, -1.0)):
        one_sided = [{**part, "advantages": part["advantages"].clamp(min=0) if signs > 0 else
                      part["advantages"].clamp(max=0)} for part in parts]  # fmt: skip
        trainer.regulator._state = trainer.regulator._state._replace(coef=0.0)
        half = step_gradient(trainer, one_sided)
        trainer.regulator._state = trainer.regulator.controller.init()
        for weighted, side in zip(grads[alpha], half, strict=True):
            torch.testing.assert_close(weighted, 2 * side, rtol=1e-3, atol=1e-6)


# --- AER ---------------------------------------------------------------------------------------


def some_right(completions: list[str], **_: Any) -> list[float]:
    """Right or wrong: whether the first word is an even one."""
    return [float(text.split()[0][1:] in [str(number) for number in range(0, 34, 2)]) if text.split() else 0.0
            for text in completions]  # fmt: skip


@pytest.mark.train
def test_aer_raises_the_entropy_of_hard_prompts_and_anchors_its_target(make_trainer: Make) -> None:
    recipe = recipes.aer(rate=50.0, rho=1.0, fraction=1.0, ceiling=3.0, initial=1.0, window="step")
    seen: list[Any] = []

    def look(batch: Any) -> Any:
        seen.append(batch)
        return batch

    trainer = trained(make_trainer, recipe.with_edits(look), max_steps=6, reward_funcs=some_right, **TWO_UPDATES)
    for batch in seen:
        for group in batch.group_ids.unique():
            inside = batch.group_ids == group
            counted = batch.mask.bool() & inside[:, None]
            weights = batch.weight[counted].unique()
            assert len(weights) <= 1
            if inside.sum() == 4 and len(weights):  # the whole group lies in this micro-batch
                assert float(weights) == pytest.approx(1 - float(batch.rewards[inside].mean()), abs=1e-6)
    assert len(torch.cat([batch.weight.flatten() for batch in seen]).unique()) > 2
    coefs, entropies = control(trainer, "coef"), control(trainer, "entropy")
    law, state = recipe.controller, recipe.controller.init()
    for coef, entropy in zip(coefs, entropies, strict=True):
        assert coef == pytest.approx(law.coefficient(state), rel=1e-4, abs=1e-6)
        state = law.update(state, entropy=entropy)
    assert len(set(coefs)) > 1
    plain = trained(make_trainer, recipes.none(), max_steps=6, reward_funcs=some_right, **TWO_UPDATES)
    assert entropies[-1] > control(plain, "entropy")[-1]


# --- ADRPO -------------------------------------------------------------------------------------


@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "sapo", "luspo", "cispo"])
def test_adrpo_s_sum_with_trl_s_own_divergence_is_exactly_the_one_meant(
    make_trainer: Make, loss_type: str, corrected: bool
) -> None:
    # With low = high all tokens have one coefficient, 0.3 + 0.5, so TRL with beta=0.8 must give the same gradient.
    settings: dict[str, Any] = {
        "loss_type": loss_type, "use_bias_correction_kl": corrected, "num_iterations": 2, "scale_rewards": "none",
    }  # fmt: skip
    changed = make_trainer(recipes.adrpo(low=-0.5, high=-0.5), beta=0.3, **settings)
    fixed = make_trainer(recipes.none(), beta=0.8, **settings)
    inputs = uneven(prepared(fixed)[0])
    inputs["old_per_token_logps"] = inputs["old_per_token_logps"] - 0.1
    parts = split(inputs, [2, 6]) if loss_type in ("dapo", "cispo") else [inputs]
    grads: list[list[torch.Tensor]] = []
    for trainer in (changed, fixed):
        trainer.model.load_state_dict(changed.model.state_dict())
        trainer.model.train()
        trainer.args.steps_per_generation = len(parts)
        with torch.no_grad():  # away from the reference, or the divergence would have no gradient
            generator = torch.Generator().manual_seed(1)
            for parameter in trainer.model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator)) if trainer is changed else None
        trainer.model.load_state_dict(changed.model.state_dict())
        grads.append(step_gradient(trainer, parts))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.train
def test_adrpo_holds_the_policy_to_its_reference_by_advantage(make_trainer: Make) -> None:
    settings: dict[str, Any] = {"beta": 0.1, "max_steps": 8, "per_device_train_batch_size": 64, "num_generations": 8}
    held = trained(make_trainer, recipes.adrpo(scale=2.0, low=-1.0, high=-0.5), **settings)
    plain = trained(make_trainer, recipes.none(), **settings)
    free = trained(make_trainer, recipes.adrpo(low=1.0, high=1.0), **settings)
    ends = [logged(trainer, "kl")[-1] for trainer in (held, plain, free)]
    assert 0 < ends[0] < ends[1] < ends[2], "a larger coefficient, the host's, none"


def test_adrpo_needs_a_reference_model_and_a_ratio_per_token(make_trainer: Make) -> None:
    with pytest.raises(ValueError, match="Set `beta` above 0"):
        make_trainer(recipes.adrpo())
    sequence: dict[str, Any] = {"beta": 0.1, "importance_sampling_level": "sequence", "loss_type": "grpo"}
    with pytest.raises(ValueError, match="`use_bias_correction_kl` must be False"):
        make_trainer(recipes.adrpo(), **sequence)
    make_trainer(recipes.adrpo(), **sequence, use_bias_correction_kl=False)


# --- SIREN -------------------------------------------------------------------------------------


@pytest.mark.train
@pytest.mark.parametrize("iterations", [1, 2], ids=["own pass", "TRL's pass"])
def test_siren_s_coefficient_is_the_distance_of_fresh_rollouts_to_the_first_ones(
    make_trainer: Make, iterations: int
) -> None:
    recipe = recipes.siren(beta=0.5, quantile=0.5)
    fresh: list[float] = []
    trainer = make_trainer(recipe, max_steps=6, **TWO_UPDATES, num_iterations=iterations)
    observe = trainer.regulator.observe_fresh

    def watched(*call: Any) -> Any:
        fresh.append(observe(*call))
        return fresh[-1]

    trainer.regulator.observe_fresh = watched
    trainer.train()
    expected = [2 * 0.5 * (value - fresh[0]) for value in fresh for _ in range(2 * iterations)][:6]
    assert control(trainer, "coef") == pytest.approx(expected, rel=1e-6)
    assert expected[0] == 0
    assert expected[-1] != 0


@pytest.mark.train
def test_siren_holds_the_entropy_near_its_first_value(make_trainer: Make) -> None:
    settings: dict[str, Any] = {"max_steps": 10, "learning_rate": 3e-2}
    held = trained(make_trainer, recipes.siren(beta=10.0), **settings)
    plain = trained(make_trainer, recipes.none(), **settings)
    drift = [abs(control(trainer, "entropy")[-1] - control(trainer, "entropy")[0]) for trainer in (held, plain)]
    assert drift[0] < drift[1]


# --- TRE ---------------------------------------------------------------------------------------


@pytest.mark.train
@pytest.mark.parametrize("parts", [{"keep": 5, "coef": 0.3}, {"top_p": 0.8, "coef": 1.0}], ids=["TRE-K", "TRE-P"])
def test_tre_raises_the_entropy_of_the_plausible_tokens(make_trainer: Make, parts: dict[str, Any]) -> None:
    recipe = recipes.tre(**parts)
    paid = trained(make_trainer, recipe, max_steps=8)
    unpaid = trained(make_trainer, recipes.tre(**{**parts, "coef": 0.0}), max_steps=8)
    assert control(paid, "clamped_entropy")[-1] > control(unpaid, "clamped_entropy")[-1]
    factor = torch.tensor(37.0).log() / torch.tensor(5.0).log() if "keep" in parts else 1.0
    expected = -parts["coef"] * factor * control(paid, "clamped_entropy")[0]
    assert control(paid, "bonus")[0] == pytest.approx(float(expected), rel=1e-4)
