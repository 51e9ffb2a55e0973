"""Recipes that act on rollouts, and the framework under them, through TRL itself on the tiny model."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from trl import GRPOTrainer

from entrostat import TokenBatch, controllers, measures, recipes, terms
from entrostat.integrations.trl import _passes
from entrostat.integrations.trl._batch import CARRIED

from .conftest import logged, tiny_model
from .test_trainer import prepared, step_gradient

Make = Callable[..., Any]
KEPT = [pytest.param({}, id="own pass"), pytest.param({"num_iterations": 2}, id="TRL's pass")]
"""TRL keeps old log-probs only where one rollout batch serves several updates; elsewhere the pass is ours."""


def logits_of(trainer: Any, rows: dict[str, Any], scale: Tensor | None = None) -> Tensor:
    """Return the plain logits `[B, T, V]` of the response tokens, over the temperature."""
    ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], 1)
    seen = torch.cat([rows["prompt_mask"], rows["completion_mask"]], 1)
    length = rows["completion_ids"].shape[1]
    with torch.no_grad():
        logits = trainer.model(input_ids=ids, attention_mask=seen).logits[:, -length - 1 : -1]
    return logits / trainer.temperature if scale is None else logits * scale.unsqueeze(-1) / trainer.temperature


def logprobs_of(trainer: Any, rows: dict[str, Any], scale: Tensor | None = None) -> Tensor:
    logprobs = logits_of(trainer, rows, scale).log_softmax(-1)
    return logprobs.gather(-1, rows["completion_ids"].unsqueeze(-1)).squeeze(-1)


def entropy_of(trainer: Any, rows: dict[str, Any]) -> Tensor:
    logprobs = logits_of(trainer, rows).log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def close(ours: Tensor, plain: Tensor, mask: Tensor) -> None:
    torch.testing.assert_close(ours[mask.bool()], plain[mask.bool()], rtol=1e-4, atol=1e-5)


def joined(batches: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: torch.cat([batch[name] for batch in batches]) if value.dim() else value
        for name, value in batches[0].items()
        if isinstance(value, Tensor)
    }


@dataclass
class Spy:
    """An edit that changes nothing and keeps what it saw."""

    sets = frozenset[str]()
    seen: list[TokenBatch] = dataclasses.field(default_factory=list)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        self.seen.append(batch)
        return batch


def looking(recipe: recipes.Recipe, *, rollout: bool = False, **changes: Any) -> tuple[recipes.Recipe, Spy]:
    spy, name = Spy(), "rollout_edits" if rollout else "edits"
    return dataclasses.replace(recipe, **{name: (*getattr(recipe, name), spy)}, **changes), spy


def by_group(batch: TokenBatch, values: Tensor) -> Tensor:
    """Return z-scores within groups, the plain way."""
    scores = torch.empty_like(values)
    for group in batch.group_ids.unique():
        inside = batch.group_ids == group
        scores[inside] = (values[inside] - values[inside].mean()) / (values[inside].std() + 1e-4)
    return scores


def mean_over(batch: TokenBatch, values: Tensor) -> Tensor:
    return (torch.where(batch.mask.bool(), values, 0).sum(1) / batch.mask.sum(1)).detach()


# --- what the rollout edits stand on -----------------------------------------------------------


@pytest.mark.train
@pytest.mark.parametrize("updates", [1, 2])
def test_a_fresh_window_moves_the_coefficient_before_the_first_update(make_trainer: Make, updates: int) -> None:
    recipe = recipes.Recipe(
        name="x", summary="", measure=measures.Shannon(), controller=controllers.Schedule(start=1.0, end=0.0, steps=10),
        terms=(terms.EntropyBonus(),), window="fresh",
    )  # fmt: skip
    trainer = make_trainer(recipe, max_steps=2 * updates, steps_per_generation=updates, per_device_train_batch_size=4)
    trainer.train()
    assert logged(trainer, "entropy_control/coef") == pytest.approx([0.9] * updates + [0.8] * updates)


@pytest.mark.parametrize("setting", KEPT)
def test_fresh_statistics_are_those_of_the_policy_that_wrote_the_rollouts(
    make_trainer: Make, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]
) -> None:
    recipe, spy = looking(recipes.rent(), rollout=True, needs=frozenset({"old_entropy", "logit_stats", "group_ids"}))
    trainer = make_trainer(recipe, temperature=0.7, **setting)
    passes: list[Any] = []
    own = _passes.measure_rollouts
    monkeypatch.setattr(_passes, "measure_rollouts", lambda *args: passes.append(args) or own(*args))
    drawn: list[dict[str, Any]] = []
    draw = trainer._draw
    trainer._draw = lambda inputs: drawn.append(draw(inputs)) or drawn[-1]
    prepared(trainer)
    assert len(passes) == (0 if setting else 1), "one measuring pass, TRL's own where it makes one"
    (batch,), (rows,) = spy.seen, drawn
    close(batch.logprobs, logprobs_of(trainer, rows), batch.mask)
    close(batch.entropy, entropy_of(trainer, rows), batch.mask)
    close(batch.old_entropy, batch.entropy, batch.mask)
    raw = logits_of(trainer, rows) * trainer.temperature
    close(batch.mean_logit, raw.mean(-1), batch.mask)
    close(batch.target_logit, raw.gather(-1, rows["completion_ids"].unsqueeze(-1)).squeeze(-1), batch.mask)
    if setting:
        hook = functools.partial(GRPOTrainer._get_per_token_logps_and_entropies, trainer)
        again = own(trainer, _passes.RolloutPass(hook=hook, measure=True), rows)
        close(again.entropy, batch.entropy, batch.mask)


@dataclass(frozen=True)
class Mark:
    """Set weight and logit scale to what can be told again from the row itself."""

    sets = frozenset({"logit_scale", "weight"})

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        return batch.replace(weight=-batch.logprobs, logit_scale=1 + batch.entropy / 2)


@pytest.mark.parametrize("setting", KEPT)
def test_what_a_rollout_edit_sets_stays_with_its_response(make_trainer: Make, setting: dict[str, Any]) -> None:
    recipe, spy = looking(recipes.none(), rollout_edits=(Mark(),), needs=frozenset({"old_entropy", "logit_scale"}))
    trainer = make_trainer(recipe, steps_per_generation=4, per_device_train_batch_size=4, **setting)
    for rows in prepared(trainer):
        mask = rows["completion_mask"]
        close(rows[CARRIED["weight"]], -logprobs_of(trainer, rows), mask)
        close(rows[CARRIED["logit_scale"]], 1 + entropy_of(trainer, rows) / 2, mask)
        trainer.compute_loss(trainer.model, rows)
        batch = spy.seen[-1]
        scaled = logprobs_of(trainer, rows, rows[CARRIED["logit_scale"]])
        close(batch.logprobs.detach(), scaled, mask)
        close(batch.old_logprobs.detach(), scaled, mask)
        close(batch.entropy.detach(), entropy_of(trainer, rows), mask)


# --- each recipe, as it trains -----------------------------------------------------------------

EVERY = {
    "aepo": recipes.aepo(target=1.0, limit=0.5, limit_cooling=0.25),
    "aepo, scope": recipes.aepo(target=3.0, variant="scope"),
    "aepo and entrocraft": recipes.aepo(target=1.0, limit=0.5).plus(recipes.entrocraft(low=0.1, high=0.2)),
    "cde": recipes.cde(stairs=((0, 1), (0.5, 0.2))),
    "em_rl, sequence": recipes.em_rl(),
    "em_rl, token": recipes.em_rl(variant="token"),
    "em_rl, ft": recipes.em_rl(variant="ft", coef=0.01),
    "entrocraft": recipes.entrocraft(low=3.0, high=3.1, low_end=2.0, high_end=2.1, shape="cosine"),
    "entropy_advantage": recipes.entropy_advantage(),
    "era": recipes.era(low=100.0, high=200.0),
    "high_entropy_tokens": recipes.high_entropy_tokens(),
    "rent": recipes.rent(),
    "stare": recipes.stare(target=100.0, variant="C2", adaptive=True),
    "ucas": recipes.ucas(),
}
WITHOUT: list[Tensor] = []
"""The weights that the same two steps lead to without a recipe; trained once for all."""


def weights_after(make_trainer: Make, recipe: recipes.Recipe) -> Tensor:
    trainer = make_trainer(recipe, max_steps=2, num_iterations=2)
    torch.manual_seed(1)
    trainer.train()
    return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])


@pytest.mark.train
@pytest.mark.parametrize("recipe", EVERY.values(), ids=EVERY)
def test_it_trains_and_differs_from_no_recipe(make_trainer: Make, recipe: recipes.Recipe) -> None:
    if not WITHOUT:
        WITHOUT.append(weights_after(make_trainer, recipes.none()))
    ours = weights_after(make_trainer, recipe)
    assert torch.isfinite(ours).all()
    assert not torch.equal(ours, WITHOUT[0])


def test_entropy_advantage_reaches_the_loss_within_its_bound(make_trainer: Make) -> None:
    recipe, spy = looking(recipes.entropy_advantage())
    trainer = make_trainer(recipe)
    rows = prepared(trainer)[0]
    trainer.compute_loss(trainer.model, rows)
    before = rows["advantages"].unsqueeze(1).expand_as(spy.seen[0].advantages)
    psi = spy.seen[0].advantages - before
    close(psi, torch.minimum(0.4 * entropy_of(trainer, rows), before.abs() / 2), rows["completion_mask"])


def test_stare_with_its_gate_shut_is_grpo_bit_for_bit(make_trainer: Make) -> None:
    plain, shut, wide = (make_trainer(each) for each in (recipes.none(), recipes.stare(target=0.0), EVERY["stare"]))
    inputs = prepared(plain)
    for trainer in (shut, wide):
        torch.manual_seed(1)
        prepared(trainer)  # the fresh rollouts set the gate
    base, same, other = (step_gradient(trainer, inputs) for trainer in (plain, shut, wide))
    assert (shut.regulator.coefficient, wide.regulator.coefficient) == (0.0, pytest.approx(0.11))
    assert all(torch.equal(one, another) for one, another in zip(base, same, strict=True))
    assert not torch.equal(base[0], other[0])


@pytest.mark.parametrize(("low", "side"), [(0.1, 1), (30.0, -1)])
def test_entrocraft_drops_what_pushes_entropy_further_out(make_trainer: Make, low: float, side: int) -> None:
    recipe, spy = looking(recipes.entrocraft(low=low, high=low + 0.1, normalise="none"), rollout=True)
    trainer = make_trainer(recipe)
    before: list[Tensor] = []
    draw = trainer._draw

    def keeping(inputs: Any) -> Any:
        output = draw(inputs)
        before.append(output["advantages"].clone())
        return output

    trainer._draw = keeping
    prepared(trainer)
    after, original = spy.seen[0].advantages, before[0].unsqueeze(1).expand_as(spy.seen[0].advantages)
    mask = spy.seen[0].mask.bool()
    dropped = mask & (side * original < 0)
    assert dropped.any()
    assert not after[dropped].any()
    torch.testing.assert_close(after[mask & ~dropped], original[mask & ~dropped])


def test_rent_is_blind_to_the_reward(make_trainer: Make) -> None:
    recipe, spy = looking(recipes.rent(), rollout=True)
    trainer = make_trainer(recipe, reward_funcs=lambda completions, **_: [1.0] * len(completions))
    prepared(trainer)
    batch = spy.seen[0]
    expected = by_group(batch, -mean_over(batch, batch.old_entropy))
    close(batch.advantages, expected.unsqueeze(1).expand_as(batch.advantages), batch.mask)
    assert expected.abs().max() > 0.5


def test_cde_forms_the_advantages_of_the_raised_rewards(make_trainer: Make) -> None:
    recipe, spy = looking(recipes.cde(alpha=0.01), rollout=True)
    prepared(make_trainer(recipe))
    batch = spy.seen[0]
    bonus = torch.minimum(batch.rewards.abs() / 3, 0.01 * mean_over(batch, -batch.logprobs))
    expected = by_group(batch, batch.rewards + bonus)
    close(batch.advantages, expected.unsqueeze(1).expand_as(batch.advantages), batch.mask)
    assert bonus.max() > 0


@pytest.mark.train
def test_em_ft_lowers_entropy_without_a_policy_gradient(make_trainer: Make) -> None:
    trainer = make_trainer(recipes.em_rl(variant="ft"), max_steps=6)
    trainer.train()
    entropies = logged(trainer, "entropy_control/entropy")
    assert entropies[-1] < entropies[0] - 0.05
    bonus, tokens = logged(trainer, "entropy_control/bonus")[0], logged(trainer, "completions/mean_length")[0]
    assert bonus == pytest.approx(entropies[0] * tokens, rel=1e-3), "summed over tokens, averaged over responses"


@pytest.mark.parametrize("setting", KEPT)
def test_era_starts_at_ratio_one_under_its_own_logits(make_trainer: Make, setting: dict[str, Any]) -> None:
    recipe, spy = looking(recipes.era(low=100.0, high=200.0))
    trainer = make_trainer(recipe, **setting)
    rows = prepared(trainer)[0]
    trainer.compute_loss(trainer.model, rows)
    batch, mask = spy.seen[0], rows["completion_mask"]
    scale = rows[CARRIED["logit_scale"]]
    good = mask.bool() & (rows["advantages"] > 0)
    assert good.any()
    assert torch.equal(scale == 2.0, good)
    close(batch.logprobs.detach(), logprobs_of(trainer, rows, scale), mask)
    close(batch.logprobs.detach() - batch.old_logprobs, torch.zeros_like(batch.old_logprobs), mask)
    assert (trainer.model.training, float(batch.clip_high[mask.bool()].min())) == (True, 1.0)


def test_era_that_never_fires_is_the_host_s_own_gradient(make_trainer: Make) -> None:
    plain = make_trainer(recipes.none())
    idle = make_trainer(recipes.era(low=0.0, high=math.inf, clip=0.2))
    inputs = prepared(plain)
    prepared(idle)
    for one, another in zip(step_gradient(plain, inputs), step_gradient(idle, inputs), strict=True):
        assert torch.equal(one, another)


def test_a_head_whose_logits_are_not_linear_is_refused(make_trainer: Make) -> None:
    for recipe in (recipes.era(), recipes.ucas()):
        with pytest.raises(ValueError, match="this model's head has a softcap"):
            make_trainer(recipe, model=tiny_model(final_logit_softcapping=5.0))
    biased = tiny_model()
    biased.lm_head = torch.nn.Linear(16, biased.config.vocab_size)
    with pytest.raises(ValueError, match="this model's head has a bias"):
        make_trainer(recipes.era(), model=biased)


def test_a_term_beside_scaled_logits_is_refused(make_trainer: Make) -> None:
    with pytest.raises(ValueError, match="adds a term to edited logits"):
        make_trainer(recipes.entropy_bonus(coef=0.1).plus(recipes.era()))


# --- AEPO: a second draw -----------------------------------------------------------------------


def drawn_twice(
    make_trainer: Make, recipe: recipes.Recipe, **settings: Any
) -> tuple[Any, list[float], list[dict[str, Any]], dict[str, Any]]:
    """Return a trainer, the temperatures it sampled at, both draws, and what TRL buffered."""
    trainer = make_trainer(recipe, **settings)
    temperatures: list[float] = []
    generate = trainer.model.generate

    def spying(*args: Any, generation_config: Any, **kwargs: Any) -> Any:
        temperatures.append(generation_config.temperature)
        return generate(*args, generation_config=generation_config, **kwargs)

    trainer.model.generate = spying
    draws: list[dict[str, Any]] = []
    draw = trainer._draw

    def keeping(inputs: Any) -> Any:
        output = draw(inputs)
        draws.append({name: value.clone() for name, value in output.items()})
        return output

    trainer._draw = keeping
    return trainer, temperatures, draws, joined(prepared(trainer))


def responses(rows: dict[str, Any], chosen: Tensor | None = None) -> list[tuple[int, ...]]:
    """Return prompt and response tokens of some rows, without padding."""
    ids = torch.cat([rows["prompt_ids"], rows["completion_ids"]], 1)
    mask = torch.cat([rows["prompt_mask"], rows["completion_mask"]], 1).bool()
    numbers = range(len(ids)) if chosen is None else chosen.tolist()
    return [tuple(ids[row][mask[row]].tolist()) for row in numbers]


@pytest.mark.parametrize("setting", KEPT)
def test_replaced_rows_come_from_the_second_draw(make_trainer: Make, setting: dict[str, Any]) -> None:
    recipe = recipes.aepo(target=1.0, hot=1.7, share=0.5, limit=0.125)
    trainer, temperatures, (first, second), rows = drawn_twice(
        make_trainer, recipe, per_device_train_batch_size=16, **setting
    )
    assert temperatures == pytest.approx([1.0, 1.7]), "a first law says hot, and the host samples at it"
    assert trainer.generation_config.temperature == 1.0
    good = (second["advantages"] > 0.05).nonzero().flatten()
    assert len(good) > 2, "more than the limit allows, in this test"
    good = good[:2]
    expected = responses(first)[2:] + responses(second, good)
    assert sorted(responses(rows)) == sorted(expected)
    taken = rows[CARRIED["group_ids"]] >= 4
    assert int(taken.sum()) == 2
    assert sorted(responses(rows, taken.nonzero().flatten())) == sorted(responses(second, good))
    assert torch.equal(rows["advantages"][taken], torch.ones(2))
    assert rows["num_items_in_batch"] == rows["completion_mask"].sum()
    if setting:  # scored at the batch's own temperature, not at the one they were drawn at
        close(rows["old_per_token_logps"], logprobs_of(trainer, rows), rows["completion_mask"])
    metrics = trainer._metrics["train"]
    assert len(metrics["reward"]) == 1, "the second draw is not logged as if it were training data"
    assert metrics["entropy_control/redraw_share"] == [0.125]
    assert metrics["entropy_control/redraw_temperature"] == [1.7]


def test_nothing_good_drawn_leaves_the_batch_alone(make_trainer: Make) -> None:
    recipe = recipes.aepo(target=1.0, limit=0.5)
    same = lambda completions, **_: [1.0] * len(completions)  # noqa: E731
    trainer, _, (first, _second), rows = drawn_twice(make_trainer, recipe, reward_funcs=same)
    assert sorted(responses(rows)) == sorted(responses(first))
    assert trainer._metrics["train"]["entropy_control/redraw_share"] == [0.0]
    scope = recipes.aepo(target=1.0, variant="scope", limit=0.5)
    trainer, _, _, rows = drawn_twice(make_trainer, scope, reward_funcs=same)
    assert int((rows[CARRIED["group_ids"]] >= 2).sum()) == 4, "the proportional variant takes every correct response"


@pytest.mark.train
@pytest.mark.parametrize(
    ("recipe", "temperatures"),
    [
        (recipes.aepo(target=100.0), [1.2, 1.2, 1.2]),
        (recipes.aepo(target=0.0), [1.2, 0.8, 0.8]),
        (recipes.aepo(target=0.0, variant="scope"), [1.2, 0.8, 0.8]),
    ],
)
def test_the_temperature_follows_the_surprisal(
    make_trainer: Make, recipe: recipes.Recipe, temperatures: list[float]
) -> None:
    trainer = make_trainer(recipe, max_steps=6, steps_per_generation=2, per_device_train_batch_size=4)
    trainer.train()
    assert logged(trainer, "entropy_control/redraw_temperature") == pytest.approx(temperatures)
    assert logged(trainer, "entropy_control/coef") == pytest.approx([value for value in temperatures for _ in "ab"])


@pytest.mark.train
def test_imitating_hot_samples_raises_entropy_and_imitating_cool_ones_lowers_it(make_trainer: Make) -> None:
    ends: dict[float, list[float]] = {}
    for temperature in (0.5, 2.0):
        # Every response is good, and every one is drawn again: nothing but the second draw is learned from.
        recipe = recipes.aepo(
            variant="scope", hot=temperature, cold=temperature, share=1.0, limit=1.0, limit_cooling=1.0
        )
        trainer = make_trainer(recipe, reward_funcs=lambda completions, **_: [1.0] * len(completions), max_steps=8)
        trainer.train()
        assert logged(trainer, "entropy_control/redraw_share") == [1.0] * 8
        ends[temperature] = logged(trainer, "entropy_control/entropy")
    assert ends[0.5][-1] < ends[0.5][0] - 0.1
    assert ends[2.0][-1] > ends[2.0][0]


def test_evaluation_draws_at_one_temperature(make_trainer: Make) -> None:
    trainer, temperatures, _, _ = drawn_twice(make_trainer, recipes.aepo(target=1.0))
    temperatures.clear()
    trainer.eval_dataset = trainer.train_dataset.select(range(4))
    trainer.evaluate()
    assert set(temperatures) == {1.0}
