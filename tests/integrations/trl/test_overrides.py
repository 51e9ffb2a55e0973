"""A recipe is never a silent no-op: subclasses that override hooks, losses nobody knows, models that trainers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig
from trl import GRPOTrainer

from entrostat import recipes
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.integrations.trl._batch import host_weight

from .conftest import even_words, logged, needs_trl_s_kernel, prompts, tiny_model, tiny_tokenizer

BAND: dict[str, Any] = {"low": 3.0, "high": 3.2, "initial": 0.5, "rate": 0.5, "floor": 0.0, "ceiling": 5.0, "warmup": 1}


def made(cls: type, settings: Callable[..., Any], recipe: recipes.Recipe, model: Any = None, **changes: Any) -> Any:
    return cls(
        model=model or tiny_model(), reward_funcs=even_words, args=settings(**changes), train_dataset=prompts(),
        processing_class=tiny_tokenizer(), recipe=recipe,
    )  # fmt: skip


def own_loss(trainer: Any, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """A loss of one's own, from the model's logits: it never asks TRL's hook."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    length = inputs["completion_ids"].size(1)
    logprobs = model(input_ids=ids).logits[:, -length - 1 : -1].log_softmax(-1)
    taken = logprobs.gather(-1, inputs["completion_ids"].unsqueeze(-1)).squeeze(-1)
    return -(taken * inputs["advantages"].unsqueeze(1) * inputs["completion_mask"]).mean()


class OwnLoss(EntropyGRPOTrainer):
    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        return own_loss(self, model, inputs)


class OwnPrivateLoss(EntropyGRPOTrainer):
    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        return own_loss(self, model, inputs)


class AsksTwice(EntropyGRPOTrainer):
    """As for a second pass with dropout."""

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        seen = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        self._get_per_token_logps_and_entropies(
            model, ids, seen, inputs["completion_ids"].size(1), compute_entropy=True
        )
        return super()._compute_loss(model, inputs)


class OwnHook(EntropyGRPOTrainer):
    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        return GRPOTrainer._get_per_token_logps_and_entropies(self, *args, **kwargs)


class OwnRollouts(EntropyGRPOTrainer):
    def _generate_and_score_completions(self, inputs: Any) -> Any:
        return GRPOTrainer._generate_and_score_completions(self, inputs)


@pytest.mark.train
@pytest.mark.parametrize(
    ("cls", "recipe", "override"),
    [
        (OwnLoss, recipes.aent(clamp=0.4, **BAND), "OwnLoss.compute_loss"),
        (OwnPrivateLoss, recipes.aent(clamp=0.4, **BAND), "OwnPrivateLoss._compute_loss"),
        pytest.param(
            OwnHook,
            recipes.aent(clamp=0.4, **BAND),
            "OwnHook._get_per_token_logps_and_entropies",
            marks=needs_trl_s_kernel,
        ),
        (OwnRollouts, recipes.rent(), "OwnRollouts._generate_and_score_completions"),
    ],
)
def test_an_override_that_leaves_the_recipe_out_ends_the_run(
    settings: Callable[..., Any], cls: type, recipe: recipes.Recipe, override: str
) -> None:
    trainer = made(cls, settings, recipe)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    with pytest.raises(RuntimeError, match=rf"recipe '{recipe.name}'.*Overridden here: {override}\."):
        trainer.train()
    for was, parameter in zip(before, trainer.model.parameters(), strict=True):
        assert torch.equal(was, parameter), "no update is made that the recipe did not see"


@pytest.mark.train
def test_a_loss_that_asks_the_hook_twice_counts_once(settings: Callable[..., Any]) -> None:
    once, twice = (
        made(
            cls, settings, recipes.aent(clamp=0.4, **BAND).plus(recipes.clip_higher()).plus(recipes.entropy_advantage())
        )
        for cls in (EntropyGRPOTrainer, AsksTwice)
    )
    for trainer in (once, twice):
        torch.manual_seed(1)
        trainer.train()
    for name in ("loss", "entropy_control/bonus", "entropy_control/entropy", "entropy_control/coef"):
        assert logged(twice, name) == pytest.approx(logged(once, name), rel=1e-5), name


def test_a_loss_type_that_nobody_knows_is_rejected(settings: Callable[..., Any]) -> None:
    args = settings(loss_type="brand_new")
    message = r"unknown loss_type 'brand_new'.*Known: bnpo, cispo, dapo"
    with pytest.raises(ValueError, match=message):
        made(EntropyGRPOTrainer, lambda: args, recipes.entropy_bonus(coef=0.1))
    with pytest.raises(ValueError, match=message):
        host_weight({}, torch.ones(1, 1), args, tokens=torch.tensor(1.0), parts=1, share=1.0)


@pytest.mark.train
def test_trainers_share_a_model_in_turn(settings: Callable[..., Any]) -> None:
    model = tiny_model()
    first = made(EntropyGRPOTrainer, settings, recipes.aent(clamp=0.4, **BAND), model, max_steps=1)
    second = made(EntropyGRPOTrainer, settings, recipes.entropy_bonus(coef=0.01), model, max_steps=1, temperature=0.7)
    for trainer in (first, second, first):
        trainer.train()
    assert logged(first, "entropy_control/clamped_entropy")[0] < logged(first, "entropy_control/entropy")[0]
    assert logged(second, "entropy_control/clamped_entropy") == logged(second, "entropy_control/entropy")


@pytest.mark.train
def test_a_model_with_an_adapter_of_transformers_own(settings: Callable[..., Any]) -> None:
    model = tiny_model()
    model.add_adapter(LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    trainer = made(EntropyGRPOTrainer, settings, recipes.aent(clamp=0.4, **BAND), model, max_steps=1)
    trainer.train()
    assert logged(trainer, "entropy_control/clamped_entropy")[0] > 0


@pytest.mark.train
def test_a_policy_is_no_distance_from_a_reference_that_equals_it(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(recipes.none(), beta=0.1, learning_rate=0.0, max_steps=1)
    trainer.train()
    assert logged(trainer, "kl") == [0.0]
