"""Recipes that work on the ratio, trained through TRL with two updates per rollout batch: what each says it changes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, recipes
from entrostat.integrations.trl._refusals import warn_if_inert

from ...hosts import per_token
from .conftest import logged

Make = Callable[..., Any]
pytestmark = pytest.mark.train

RATIO: list[recipes.Recipe] = [
    recipes.cispo(high=0.1),
    recipes.gspo(),
    recipes.espo(),
    recipes.ce_gppo(),
    recipes.gppo(),
    recipes.erc(),
    recipes.kl_cov(share=0.2),
    recipes.flexible_clipping(),
    recipes.rpg(coef=0.5),
]


@dataclass(frozen=True)
class Look:
    """An edit that changes nothing and remembers what it saw."""

    seen: list[TokenBatch] = field(default_factory=list)
    sets: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        self.seen.append(batch)
        return batch


class Trained(NamedTuple):
    """A trainer after its run, and its batches before and after the recipe's edits."""

    trainer: Any
    before: list[TokenBatch]
    after: list[TokenBatch]


def train(make_trainer: Make, recipe: recipes.Recipe, **changes: Any) -> Trained:
    """Train with two updates on every rollout batch."""
    first, last = Look(), Look()
    watched = dataclasses.replace(recipe, edits=(first, *recipe.edits, last))
    trainer = make_trainer(watched, **{"num_iterations": 2, "max_steps": 2, "learning_rate": 5e-3, **changes})
    torch.manual_seed(1)
    trainer.train()
    return Trained(trainer, first.seen, last.seen)


def without_gradient(batch: TokenBatch) -> Tensor:
    """Return which response tokens with an advantage get no gradient from the host's loss."""
    leaf = batch.logprobs.detach().requires_grad_()
    counted = batch.mask.bool()
    loss = per_token(batch.replace(logprobs=leaf))
    (gradient,) = torch.autograd.grad(torch.where(counted, loss, 0).sum(), leaf)
    return (gradient == 0) & counted & (batch.advantages != 0)


def share(chosen: Tensor, batch: TokenBatch) -> float:
    return float(chosen.sum() / batch.mask.sum())


def test_the_second_update_differs_from_plain_training_and_the_first_does_not(make_trainer: Make) -> None:
    plain, *others = (
        logged(train(make_trainer, recipe, loss_type="grpo", max_steps=3).trainer, "grad_norm")
        for recipe in (recipes.none(), *RATIO)
    )
    for recipe, norms in zip(RATIO, others, strict=True):
        if recipe.name != "espo":  # whose weights per token hold from the start
            assert norms[0] == pytest.approx(plain[0], rel=1e-4), recipe.name
        assert norms[1] != pytest.approx(plain[1], rel=1e-3), recipe.name
        assert all(math.isfinite(norm) for norm in norms)


@pytest.mark.parametrize("recipe", RATIO, ids=lambda recipe: recipe.name)
def test_one_update_per_rollout_batch_is_warned_of(settings: Callable[..., Any], recipe: recipes.Recipe) -> None:
    # Warnings are errors here.
    with pytest.raises(recipes.InertRecipeWarning, match=f"{recipe.name!r} does nothing here.*num_iterations"):
        warn_if_inert(settings(), recipe)
    warn_if_inert(settings(num_iterations=2), recipe)
    warn_if_inert(settings(per_device_train_batch_size=4, steps_per_generation=2), recipe)


def test_the_trainer_gives_that_warning(make_trainer: Make) -> None:
    with pytest.raises(recipes.InertRecipeWarning, match="'gspo' does nothing here"):
        make_trainer(recipes.gspo())


def test_plain_training_drops_tokens_on_the_second_update(make_trainer: Make) -> None:
    plain = train(make_trainer, recipes.none())
    first, second = (share(without_gradient(batch), batch) for batch in plain.after)
    assert first == 0
    assert second > 0.05, "the other tests count on it"
    assert logged(plain.trainer, "clip_ratio/region_mean") == pytest.approx([first, second])


@pytest.mark.parametrize(
    "recipe", [recipes.cispo(high=0.1), recipes.ce_gppo(), recipes.gppo()], ids=lambda recipe: recipe.name
)
def test_gradient_preserving_recipes_drop_none(make_trainer: Make, recipe: recipes.Recipe) -> None:
    run = train(make_trainer, recipe)
    assert without_gradient(run.before[1]).any()
    assert not without_gradient(run.after[1]).any()
    assert logged(run.trainer, "clip_ratio/region_mean") == [0, 0]


def test_gspo_drops_whole_responses_and_many(make_trainer: Make) -> None:
    run = train(make_trainer, recipes.gspo(), loss_type="grpo")
    dropped, mask = without_gradient(run.after[1]), run.after[1].mask.bool()
    assert all(not row.any() or row[own].all() for row, own in zip(dropped, mask, strict=True))
    assert share(dropped, run.after[1]) > share(without_gradient(run.before[1]), run.before[1])
    ratio = (run.after[1].logprobs - run.after[1].old_logprobs).detach().exp()
    assert all(row[own].std() < 1e-5 for row, own in zip(ratio, mask, strict=True) if own.sum() > 1)


def test_espo_s_range_is_wider_where_the_rollout_was_uncertain(make_trainer: Make) -> None:
    run = train(make_trainer, recipes.espo(), loss_type="grpo")
    batch = run.after[1]
    assert batch.old_entropy is not None
    mask = batch.mask.bool()
    for row, own in enumerate(mask):
        widths = batch.clip_high[row, own]
        most, least = batch.old_entropy[row, own].argmax(), batch.old_entropy[row, own].argmin()
        assert len(widths.unique()) <= 2
        assert widths[most] >= widths[least]
    expected = 0.02 / math.log(37) * batch.old_entropy[mask]
    assert expected.min() - 1e-6 <= batch.clip_high[mask].min() <= batch.clip_high[mask].max() <= expected.max() + 1e-6


def test_erc_drops_the_tokens_whose_entropy_moved_and_trl_counts_them(make_trainer: Make) -> None:
    run = train(make_trainer, recipes.erc(low=0.02, high=0.02))
    first, second = run.after
    assert share(without_gradient(first), first) == 0, "both entropies of the first update come from one kernel"
    dropped = without_gradient(second)
    assert share(dropped, second) > share(without_gradient(run.before[1]), second)
    assert second.old_entropy is not None
    q = second.entropy.detach() / second.old_entropy
    outside = ((q < 0.98) | (q > 1.02)) & second.mask.bool()
    assert outside.any()
    assert dropped[outside].all()
    assert logged(run.trainer, "clip_ratio/region_mean")[1] == pytest.approx(share(dropped, second))


def test_kl_cov_s_penalty_starts_with_the_second_update(make_trainer: Make) -> None:
    run = train(make_trainer, recipes.kl_cov(share=0.2, coef=2.0))
    first, second = logged(run.trainer, "entropy_control/bonus")
    assert first == 0
    batch = run.after[1]
    assert batch.weight is not None
    tokens = int(batch.mask.sum())
    assert int(0.2 * tokens) <= int(batch.weight.sum()) <= int(0.2 * tokens) + 2, "equal ones are all chosen"
    drift = (batch.logprobs.detach() - batch.old_logprobs).abs()[batch.weight.bool()]
    assert second == pytest.approx(2 * float((drift - 1e-3).clamp(min=0).sum()) / tokens, rel=1e-4)
    assert not without_gradient(batch).any(), "nothing is clipped"


def test_clip_cov_drops_its_share_of_a_whole_rollout_batch(make_trainer: Make) -> None:
    recipe = recipes.clip_cov(share=0.1, low=0.0, high=50.0)
    small: dict[str, Any] = {"per_device_train_batch_size": 2, "steps_per_generation": 4}
    run = train(make_trainer, recipe, gradient_accumulation_steps=2, **small)
    assert len(run.before) == 4
    tokens = sum(int(batch.mask.sum()) for batch in run.before)
    dropped = [(batch.advantages == 0) & batch.mask.bool() for batch in run.before]
    assert sum(int(one.sum()) for one in dropped) == int(0.1 * tokens), "over four micro-batches, not in each of them"
    counts = {int(one.sum()) for one in dropped}
    assert len(counts) > 1


@pytest.mark.parametrize("scope", ["rollout", "micro_batch"])
def test_clip_cov_acts_on_the_first_update_already(make_trainer: Make, scope: Any) -> None:
    recipe = recipes.clip_cov(share=0.3, low=0.0, high=50.0, scope=scope)
    plain, run = (train(make_trainer, each, num_iterations=1, max_steps=1) for each in (recipes.none(), recipe))
    assert int((run.after[0].advantages == 0).logical_and(run.after[0].mask.bool()).sum()) > 0
    assert logged(run.trainer, "grad_norm") != pytest.approx(logged(plain.trainer, "grad_norm"), rel=1e-3)


def test_rpg_takes_the_log_ratio_off_the_advantage(make_trainer: Make) -> None:
    run = train(make_trainer, recipes.rpg(coef=0.5), scale_rewards="none")
    for before, after in zip(run.before, run.after, strict=True):
        counted = before.mask.bool()
        log_w = (before.logprobs.detach() - before.old_logprobs)[counted]
        torch.testing.assert_close(after.advantages[counted], before.advantages[counted] - 0.5 * log_w)
    assert log_w.abs().max() > 0.05


@pytest.mark.parametrize("shape", ["ID", "DID"])
def test_flexible_bounds_follow_the_run(make_trainer: Make, shape: Any) -> None:
    run = train(make_trainer, recipes.flexible_clipping(shape=shape), max_steps=4)
    upper = [float(batch.clip_high[batch.mask.bool()].mean()) for batch in run.after]
    lower = [float(batch.clip_low[batch.mask.bool()].mean()) for batch in run.after]
    assert lower[:3] == pytest.approx([0.2] * 3)
    assert lower[3] > 0.22, "the second half opens the lower bound"
    assert upper == sorted(upper, reverse=shape == "ID")
    assert max(upper) > 0.4
    assert min(upper) == pytest.approx(0.2)


def test_the_switch_survives_a_resume(make_trainer: Make, tmp_path: Path) -> None:
    recipe = recipes.flexible_clipping(shape="OD", fraction=0.9)
    settings: dict[str, Any] = {
        "num_iterations": 2, "max_steps": 8, "learning_rate": 5e-2, "save_strategy": "steps", "save_steps": 6,
        "shuffle_dataset": False,
    }  # fmt: skip
    straight = make_trainer(recipe, **settings, output_dir=str(tmp_path / "run"))
    torch.manual_seed(1)
    straight.train()
    resumed = make_trainer(recipe, **settings, output_dir=str(tmp_path / "other"))
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-6"))
    assert resumed.regulator.state_dict() == straight.regulator.state_dict()
    assert logged(resumed, "entropy_control/coef")[-2:] == logged(straight, "entropy_control/coef")[-2:]
    assert logged(resumed, "loss")[-2:] == logged(straight, "loss")[-2:]


def test_the_switch_follows_the_measured_entropy(make_trainer: Make) -> None:
    recipe = recipes.flexible_clipping(shape="OD", fraction=0.9)
    run = train(make_trainer, recipe, max_steps=8, learning_rate=5e-2)
    law = dataclasses.replace(recipe.controller, total=8)
    state, expected = law.init(), []
    for entropy in logged(run.trainer, "entropy_control/entropy"):
        expected.append(law.coefficient(state))
        state = law.update(state, entropy=entropy)
    assert logged(run.trainer, "entropy_control/coef") == expected
    assert set(expected) == {0.0, 1.0}, "the switch of this test is meant to move"
    for batch, coef in zip(run.after, expected, strict=True):
        opened = batch.clip_high if coef else batch.clip_low
        assert (opened[batch.mask.bool()] > 0.2 + 1e-4).any()
