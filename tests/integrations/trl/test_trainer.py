"""The trainer: TRL's loss untouched, edits where it reads, terms beside it, one controller over all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, controllers, recipes
from entrostat.edits import EntropyMask

from .conftest import logged, needs_trl_s_kernel, tiny_model

Make = Callable[..., Any]
BAND: dict[str, Any] = {"low": 3.0, "high": 3.2, "initial": 0.5, "rate": 0.5, "floor": 0.0, "ceiling": 5.0, "warmup": 1}


def prepared(trainer: Any, **changes: Any) -> list[dict[str, Any]]:
    """Bring a trainer to the moment before its first loss and return its micro-batches."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer._step = 0
    batch = next(iter(trainer.get_train_dataloader()))
    trainer._prepare_inputs(batch)
    return trainer._buffered_inputs


def step_gradient(trainer: Any, batches: list[dict[str, Any]]) -> list[Tensor]:
    """Return the gradient of one whole accumulation window."""
    trainer._buffered_inputs = batches
    trainer.current_gradient_accumulation_steps = len(batches)
    trainer.model.zero_grad()
    for number, inputs in enumerate(batches):
        trainer._step = number
        trainer.accelerator.gradient_state._set_sync_gradients(number == len(batches) - 1)
        trainer.compute_loss(trainer.model, inputs).backward()
    return [parameter.grad.clone() for parameter in trainer.model.parameters()]


# --- the host's loss stays the host's ----------------------------------------------------------


@needs_trl_s_kernel
@pytest.mark.train
@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "cispo", "sapo"])
def test_recipe_none_trains_as_trl_does(make_trainer: Make, loss_type: str) -> None:
    trained: list[Any] = []
    for recipe in (None, recipes.none()):
        trained.append(make_trainer(recipe, loss_type=loss_type))
        torch.manual_seed(1)
        trained[-1].train()
    theirs, ours = trained
    assert logged(ours, "loss") == pytest.approx(logged(theirs, "loss"), rel=1e-4, abs=1e-6)
    assert logged(ours, "entropy") == pytest.approx(logged(theirs, "entropy"), rel=1e-5)
    for mine, original in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(mine, original, rtol=1e-3, atol=1e-5)


@dataclass(frozen=True)
class Everything:
    """An edit of all four fields at once, each different per token."""

    sets = frozenset({"advantages"})

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        position = torch.arange(batch.mask.shape[1]) / 10
        return batch.replace(
            advantages=batch.advantages * (1 + position),
            old_logprobs=batch.logprobs.detach() - 0.3 + position / 5,
            clip_low=torch.full_like(batch.logprobs, 0.1).detach() + position,
            clip_high=torch.full_like(batch.logprobs, 0.3).detach() - position / 4,
        )


def test_edits_reach_the_loss_and_leave_no_trace(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.none().with_edits(Everything()), loss_type="grpo", num_iterations=2)
    inputs = prepared(trainer)[0]
    untouched = {name: value.clone() for name, value in inputs.items() if isinstance(value, Tensor)}
    loss = trainer.compute_loss(trainer.model, inputs)

    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    seen = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    length = inputs["completion_ids"].shape[1]
    logprobs, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, seen, length)
    position = torch.arange(length) / 10
    advantages = inputs["advantages"][:, None] * (1 + position)
    ratio = (logprobs - (logprobs.detach() - 0.3 + position / 5)).exp()
    clipped = torch.minimum(torch.maximum(ratio, 0.9 - position), 1.3 - position / 4)
    mask = inputs["completion_mask"]
    token_loss = -torch.minimum(ratio * advantages, clipped * advantages)
    explicit = ((token_loss * mask).sum(-1) / mask.sum(-1)).mean()

    torch.testing.assert_close(loss, explicit, rtol=1e-5, atol=1e-7)
    assert (trainer.epsilon_low, trainer.epsilon_high) == (0.2, 0.2)
    for name, value in untouched.items():
        torch.testing.assert_close(inputs[name], value, msg=f"{name} was changed in place")
    assert trainer._running is None


def test_the_entropy_mask_zeroes_the_gradient_of_low_entropy_tokens(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.none().with_edits(EntropyMask(keep=0.01)))
    plain = make_trainer(recipes.none())
    inputs = prepared(plain)
    kept, full = step_gradient(trainer, inputs), step_gradient(plain, inputs)
    assert not torch.allclose(kept[0], full[0])


# --- terms -------------------------------------------------------------------------------------


def uneven(inputs: dict[str, Any], advantages: bool = True) -> dict[str, Any]:
    """Give the responses of a batch very different lengths, one of them none; drop the policy gradient if asked."""
    mask = torch.zeros_like(inputs["completion_mask"])
    for row in range(mask.shape[0]):
        mask[row, : (row * 5) % (mask.shape[1] + 1)] = 1
    changed = {**inputs, "completion_mask": mask}
    if not advantages:
        changed["advantages"] = torch.zeros_like(inputs["advantages"])
    return changed


def split(inputs: dict[str, Any], sizes: list[int]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{} for _ in sizes]
    for name, value in inputs.items():
        pieces = value.split(sizes) if isinstance(value, Tensor) and value.dim() else [value] * len(sizes)
        for part, piece in zip(parts, pieces, strict=True):
            part[name] = piece
    return parts


@pytest.mark.parametrize("sizes", [[4, 4], [1, 1, 2, 4], [1] * 8])
def test_the_bonus_is_the_same_for_any_split(make_trainer: Make, sizes: list[int]) -> None:
    trainer = make_trainer(recipes.aent(clamp=0.4, **BAND))
    whole = uneven(prepared(trainer)[0], advantages=False)
    trainer._metrics["train"].clear()
    trainer.args.steps_per_generation = 1
    at_once = step_gradient(trainer, [whole])
    trainer.args.steps_per_generation = len(sizes)
    in_parts = step_gradient(trainer, split(whole, sizes))
    for one, many in zip(at_once, in_parts, strict=True):
        torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-7)
    first, second = trainer._metrics["train"]["entropy_control/bonus"]
    assert first == pytest.approx(second, rel=1e-5)


def test_the_bonus_is_the_mean_entropy_times_the_coefficient(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.entropy_bonus(coef=0.25))
    inputs = uneven(prepared(trainer)[0], advantages=False)
    step_gradient(trainer, [inputs])
    metrics = trainer._metrics["train"]
    entropy, bonus = metrics["entropy_control/entropy"][-1], metrics["entropy_control/bonus"][-1]
    assert bonus == pytest.approx(-0.25 * entropy, rel=1e-5)
    assert entropy > 0


def test_tokens_a_tool_wrote_do_not_count(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.entropy_bonus(coef=1.0))
    inputs = prepared(trainer)[0]
    step_gradient(trainer, [inputs])
    tool_mask = torch.zeros_like(inputs["completion_mask"])
    tool_mask[:, 0] = 1
    step_gradient(trainer, [{**inputs, "tool_mask": tool_mask}])
    everything, own = trainer._metrics["train"]["entropy_control/entropy"]
    first_only = {**inputs, "completion_mask": inputs["completion_mask"] * tool_mask}
    step_gradient(trainer, [first_only])
    assert own == pytest.approx(trainer._metrics["train"]["entropy_control/entropy"][-1], rel=1e-5)
    assert own != pytest.approx(everything, rel=1e-3)


def test_a_fully_masked_micro_batch_gives_a_zero_with_gradient(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.aent(clamp=0.4, **BAND))
    inputs = prepared(trainer)[0]
    empty = {**inputs, "completion_mask": torch.zeros_like(inputs["completion_mask"])}
    gradient = step_gradient(trainer, [empty])
    assert all(torch.equal(part, torch.zeros_like(part)) for part in gradient)


# --- the controller ----------------------------------------------------------------------------


@pytest.mark.train
def test_the_controller_follows_the_logged_entropy(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.aent(clamp=0.4, **BAND), max_steps=5)
    trainer.train()
    coefs = logged(trainer, "entropy_control/coef")
    entropies = logged(trainer, "entropy_control/clamped_entropy")
    law = controllers.Band(**BAND)
    state, expected = law.init(), []
    for entropy in entropies:
        expected.append(law.coefficient(state))
        state = law.update(state, entropy=entropy)
    assert coefs == pytest.approx(expected, rel=1e-6)
    assert len(set(coefs)) > 1, "the band of this test is meant to move the coefficient"
    assert trainer.regulator.coefficient == pytest.approx(law.coefficient(state), rel=1e-6)


@pytest.mark.train
def test_once_per_rollout_moves_half_as_often(make_trainer: Make) -> None:
    recipe = recipes.aent(clamp=0.4, **BAND, window="rollout")
    trainer = make_trainer(recipe, max_steps=6, steps_per_generation=2, per_device_train_batch_size=4)
    trainer.train()
    coefs = logged(trainer, "entropy_control/coef")
    assert coefs[0::2] == coefs[1::2], "both steps of a rollout batch use one coefficient"
    assert len(set(coefs)) == 2, "warm-up holds the second rollout batch at the initial coefficient, the third moved"


@pytest.mark.train
def test_evaluation_does_not_move_the_controller(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.aent(clamp=0.4, **BAND))
    trainer.begin(3)
    before = json.dumps(trainer.regulator.state_dict())
    trainer.eval_dataset = trainer.train_dataset.select(range(8))
    metrics = trainer.evaluate()
    assert json.dumps(trainer.regulator.state_dict()) == before
    assert metrics["eval_loss"] is not None
    assert any("eval_entropy_control/entropy" in entry for entry in trainer.state.log_history)


@pytest.mark.train
def test_annealing_ends_at_zero(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.aent(keep=5, **BAND, anneal=0.5), max_steps=4)
    trainer.train()
    coefs = logged(trainer, "entropy_control/coef")
    assert coefs[-1] == 0.0
    assert coefs[0] == 0.5


@pytest.mark.train
def test_what_is_logged(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.aent(clamp=0.4, **BAND), max_steps=1, watched_token_ids=range(3, 37))
    trainer.train()
    entry = next(entry for entry in trainer.state.log_history if "entropy_control/entropy" in entry)
    control = {name.removeprefix("entropy_control/"): value for name, value in entry.items() if "control/" in name}
    assert set(control) == {
        "entropy", "clamped_entropy", "gap", "kept_mass", "watched_mass", "coef", "bonus", "band_low", "band_high",
    }  # fmt: skip
    assert control["entropy"] == pytest.approx(entry["entropy"], rel=1e-5)
    assert control["gap"] == pytest.approx(control["entropy"] - control["clamped_entropy"])
    assert 0.5 < control["kept_mass"] < 1
    assert 0 < control["watched_mass"] < 1


def test_rewards_and_groups_travel_with_the_batch(make_trainer: Make) -> None:
    seen: list[TokenBatch] = []

    def look(batch: TokenBatch) -> TokenBatch:
        seen.append(batch)
        return batch

    trainer = make_trainer(recipes.none().with_edits(look), steps_per_generation=2, per_device_train_batch_size=4)
    batches = prepared(trainer)
    step_gradient(trainer, batches)
    rewards = torch.cat([batch.rewards for batch in seen])
    groups = torch.cat([batch.group_ids for batch in seen])
    advantages = torch.cat([batch.advantages[:, 0] for batch in seen])
    for group in groups.unique():
        inside = rewards[groups == group]
        centred = (inside - inside.mean()) / (inside.std() + 1e-4)
        torch.testing.assert_close(advantages[groups == group], centred, rtol=1e-3, atol=1e-3)
    assert len(groups) == 8
    assert len(groups.unique()) == 2


# --- models with adapters and experts ----------------------------------------------------------


@pytest.mark.train
def test_gradient_checkpointing_and_bf16_run(make_trainer: Make) -> None:
    model = tiny_model()
    trainer = make_trainer(
        recipes.aent(clamp=0.4, **BAND), model=model, max_steps=1, bf16=True, gradient_checkpointing=True
    )
    trainer.train()
    assert logged(trainer, "entropy_control/clamped_entropy")[0] > 0
