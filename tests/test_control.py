"""`Control` in a loop of one's own: what it asks for, what it refuses, what it saves."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from entrostat import Control, TokenBatch, controllers, measures, recipes
from entrostat.control import UnseenError, all_gather_ragged, step_sums
from entrostat.edits import DifficultyWeight
from entrostat.ops import TokenStats

from .batches import batch, on_ranks, part, rollouts

BAND: dict[str, Any] = {"low": 1.0, "high": 2.0, "rate": 0.1, "floor": 0.0, "ceiling": 1.0, "warmup": 0}


def aent(**changes: Any) -> recipes.Recipe:
    return recipes.aent(**{"keep": 3, "initial": 0.2, **BAND, **changes})


# --- what it measures --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "measure",
    [
        measures.Shannon(), measures.Clamped(clamp=0.5), measures.TopK(k=3), measures.Nucleus(top_p=0.7),
        measures.Normalized(), measures.Tsallis(q=2.0),
    ],
    ids=lambda measure: type(measure).__name__,
)  # fmt: skip
def test_the_statistics_hold_the_recipe_s_own_measure(measure: measures.Measure) -> None:
    control = Control(dataclasses.replace(recipes.none(), measure=measure))
    logits = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)
    stats = control.stats(logits, torch.zeros(2, 3, dtype=torch.long), temperature=0.8)
    expected = measure(logits, temperature=0.8)
    torch.testing.assert_close(stats.clamped_entropy, expected)
    ours, plain = (torch.autograd.grad(value.sum(), logits, retain_graph=True)[0] for value in (stats[2], expected))
    torch.testing.assert_close(ours, plain)


def test_scaled_logits_change_the_log_probs_and_not_the_statistics_of_the_policy() -> None:
    control = Control(recipes.era(low=0.8))
    logits, targets = torch.randn(2, 3, 7, requires_grad=True), torch.randint(7, (2, 3))
    scale = torch.tensor([[1.0, 2.0, 0.5], [2.0, 1.0, 1.0]])
    plain, scaled = control.stats(logits, targets), control.stats(logits, targets, logit_scale=scale)
    expected = (logits * scale.unsqueeze(-1)).log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(scaled.logprobs, expected)
    torch.testing.assert_close(scaled.entropy, plain.entropy)
    assert not scaled.entropy.requires_grad


# --- a step ------------------------------------------------------------------------------------


def test_a_step_in_parts_is_the_step_at_once() -> None:
    whole = batch()
    tokens = whole.mask.sum()
    results: list[Any] = []
    for parts in ([whole], [part(whole, slice(row, row + 1)) for row in range(4)]):
        control = Control(aent())
        logits = [one.clamped_entropy for one in parts]
        loss = sum(control.micro_batch(one.replace(num_tokens=tokens)).loss for one in parts)
        results.append((loss, [torch.autograd.grad(loss, value, retain_graph=True)[0] for value in logits], control))
    (one, gradient, first), (many, gradients, second) = results
    torch.testing.assert_close(many, one)
    torch.testing.assert_close(torch.cat(gradients), gradient[0])
    means = first.close_step()
    assert second.close_step() == pytest.approx(means)
    assert first.coefficient == second.coefficient != 0.2
    assert means["bonus"] == pytest.approx(one.item(), rel=1e-6)
    assert means["gap"] == pytest.approx(means["entropy"] - means["clamped_entropy"])
    assert (means["coef"], means["band_low"], means["band_high"]) == (0.2, 1.0, 2.0)


def test_two_ranks_are_one() -> None:
    whole = batch()
    alone = Control(aent())
    loss = alone.micro_batch(whole).loss
    expected = alone.close_step()
    tokens = whole.mask.sum()

    def on_rank(own: TokenBatch) -> tuple[float, dict[str, float], float]:
        def collect(value: torch.Tensor) -> torch.Tensor:
            return own.gather(value.flatten()).view(2, -1)

        control = Control(
            aent(), reduce=lambda value: collect(value).sum(0), all_gather=lambda value: collect(value).unbind(),
            world_size=2,
        )  # fmt: skip
        bonus = control.micro_batch(own.replace(num_tokens=tokens)).loss
        return bonus.item(), control.close_step(), control.coefficient

    ranks = on_ranks(on_rank, [part(whole, slice(0, 1)), part(whole, slice(1, 4))])
    assert sum(bonus for bonus, _, _ in ranks) / 2 == pytest.approx(loss.item(), rel=1e-6)
    for _, means, coefficient in ranks:
        assert means == pytest.approx(expected)
        assert coefficient == pytest.approx(alone.coefficient, rel=1e-12)


def test_values_of_all_ranks_are_joined_whatever_their_lengths() -> None:
    other = torch.tensor([3.0, 4.0, 5.0])

    def all_gather(value: torch.Tensor) -> list[torch.Tensor]:
        return [value, torch.tensor([3]) if value.dtype == torch.long else other]

    assert all_gather_ragged(torch.tensor([1.0, 2.0]), all_gather).tolist() == [1, 2, 3, 4, 5]


def test_further_quantities_are_reported() -> None:
    control = Control(recipes.none())
    whole = batch(garbage=True)
    control.micro_batch(whole, also={"length": torch.where(whole.mask.bool(), 2.0, torch.nan)})
    assert control.close_step()["length"] == 2.0


def test_sums_from_another_process_close_a_step_alike() -> None:
    here, there = Control(aent()), Control(aent())
    whole = batch()
    worked = here.micro_batch(whole)
    there.add(step_sums(aent(), whole, worked.loss))
    assert there.close_step() == pytest.approx(here.close_step())
    assert there.coefficient == here.coefficient


# --- rollouts ----------------------------------------------------------------------------------


def test_the_next_fresh_rollouts_close_the_batch_before_them() -> None:
    control = Control(aent(window="rollout"))
    control.fresh(batch())
    control.micro_batch(batch())
    control.close_step()
    assert control.coefficient == 0.2, "the step's end does not count"
    control.fresh(batch())
    assert control.coefficient > 0.2, "the next rollout batch does"


def test_close_rollout_closes_the_last_one() -> None:
    control = Control(aent(window="rollout"))
    control.fresh(batch())
    control.micro_batch(batch())
    control.close_step()
    control.close_rollout()
    assert control.coefficient > 0.2


def test_a_fresh_window_moves_before_the_first_update() -> None:
    recipe = dataclasses.replace(aent(), window="fresh", needs=frozenset({"old_entropy"}))
    control = Control(recipe)
    fresh = control.fresh(batch())
    assert fresh.coef == control.coefficient > 0.2
    assert fresh.old_entropy is not None


def test_rollouts_that_a_recipe_had_to_see_and_did_not() -> None:
    recipe = dataclasses.replace(recipes.none(), name="weighted", rollout_edits=(DifficultyWeight(rho=0.5),))
    control = Control(recipe)
    with pytest.raises(RuntimeError, match=r"recipe 'weighted' works on whole batches.*control\.fresh"):
        control.micro_batch(rollouts())
    control.micro_batch(control.fresh(rollouts()))
    control.close_step()
    control.close_rollout()
    with pytest.raises(RuntimeError, match="never came by"):
        control.micro_batch(rollouts())


# --- what is refused ---------------------------------------------------------------------------


def test_a_step_without_a_micro_batch_is_an_error() -> None:
    control = Control(aent())
    with pytest.raises(RuntimeError, match="without recipe 'aent' having seen a micro-batch"):
        control.close_step()
    control.micro_batch(batch())
    control.close_step()
    with pytest.raises(RuntimeError, match="without recipe 'aent' having seen a micro-batch"):
        control.close_step()


def test_a_recipe_that_moves_per_rollout_needs_its_rollouts() -> None:
    control = Control(aent(window="rollout"))
    with pytest.raises(UnseenError, match=r"recipe 'aent' works on whole batches.*control\.fresh"):
        control.micro_batch(batch())
    with pytest.raises(ValueError, match="pass `total_rollouts`"):
        Control(aent(window="rollout", anneal=0.5), total_steps=10)


def test_fresh_rollouts_within_a_step_move_the_controller_when_it_closes() -> None:
    control = Control(aent(window="rollout"))
    control.fresh(batch())
    control.micro_batch(batch().replace(num_tokens=30))
    control.fresh(batch(seed=1))
    assert control.coefficient == 0.2, "a step has one coefficient"
    control.micro_batch(batch(seed=1).replace(num_tokens=30))
    assert control.close_step()["coef"] == 0.2
    once = control.coefficient
    assert once > 0.2
    control.micro_batch(batch(seed=1))
    control.close_step()
    assert control.coefficient == once, "the second rollout batch goes on"


def test_later_micro_batches_of_a_rollout_batch_see_later_steps() -> None:
    seen: list[int | None] = []

    class Look:
        sets = frozenset[str]()

        def __call__(self, batch: TokenBatch) -> TokenBatch:
            seen.append(batch.step)
            return batch

    control = Control(recipes.none().with_edits(Look()))
    for _ in range(2):
        fresh = control.fresh(batch())
        for _ in range(2):
            control.micro_batch(fresh)
            control.close_step()
    assert seen == [0, 1, 2, 3]
    control.micro_batch(batch().replace(step=0))
    assert seen[-1] == 0, "a step that the host names is the host's"


def test_statistics_of_other_logits_than_the_recipe_asks_for() -> None:
    control = Control(recipes.era(low=0.8))
    fresh = control.fresh(rollouts().replace(logit_scale=torch.ones(8, 9)))
    with pytest.raises(ValueError, match=r"scales the logits of this batch.*logit_scale=batch.logit_scale"):
        control.micro_batch(fresh)
    with pytest.raises(ValueError, match="adds a term to edited logits, whose entropy carries no gradient"):
        Control(recipes.era(low=0.8).plus(aent()))


def test_masks_and_counts_of_any_kind() -> None:
    whole = batch()
    expected = Control(aent()).micro_batch(whole).loss
    for changes in ({"mask": whole.mask.half()}, {"mask": whole.mask.bool()}, {"num_tokens": int(whole.mask.sum())}):
        torch.testing.assert_close(Control(aent()).micro_batch(whole.replace(**changes)).loss, expected)
    long = torch.ones(1, 3000, dtype=torch.float16)
    assert TokenBatch.of(TokenStats(*[long.float()] * 4), long, advantages=torch.ones(1)).tokens_of_step() == 3000


def test_quantities_beside_ours_are_the_same_in_every_micro_batch() -> None:
    control = Control(recipes.none())
    ones = torch.ones_like(batch().entropy)
    control.micro_batch(batch(), also={"length": ones})
    with pytest.raises(ValueError, match="not in all: length"):
        control.micro_batch(batch())
    with pytest.raises(ValueError, match="`also` must not name entropy"):
        control.micro_batch(batch(), also={"entropy": ones})


def test_a_step_without_a_token_reports_nothing_that_was_not_measured() -> None:
    control = Control(aent())
    control.micro_batch(batch().replace(mask=torch.zeros(4, 6)))
    assert control.close_step() == {"bonus": 0.0, "coef": 0.2, "band_low": 1.0, "band_high": 2.0}
    assert control.coefficient == 0.2


def test_an_interrupted_step_is_forgotten() -> None:
    control, expected = Control(aent()), Control(aent())
    control.micro_batch(batch(seed=5))
    control.abandon_step()
    for each in (control, expected):
        each.micro_batch(batch())
    assert control.close_step() == expected.close_step()


def test_a_rank_without_a_micro_batch_closes_the_step_with_the_others() -> None:
    whole = batch()
    alone = Control(aent())
    alone.micro_batch(whole)
    expected = alone.close_step()
    tokens = whole.mask.sum()

    def on_rank(own: TokenBatch) -> dict[str, float]:
        control = Control(aent(), reduce=lambda value: own.gather(value.flatten()).view(2, -1).sum(0))
        if len(own.mask):
            control.micro_batch(own.replace(num_tokens=tokens))
        return control.close_step()

    for means in on_ranks(on_rank, [part(whole, slice(0, 0)), whole]):
        assert means == pytest.approx(expected)


def test_a_step_of_several_micro_batches_needs_its_number_of_tokens() -> None:
    message = "`num_tokens` must hold the response tokens of the whole step"
    control = Control(aent())
    control.micro_batch(batch())
    with pytest.raises(ValueError, match=message):
        control.micro_batch(batch().replace(num_tokens=torch.tensor(40.0)))
    several = Control(aent(), reduce=lambda value: value, all_gather=lambda value: [value, value], world_size=2)
    with pytest.raises(ValueError, match=message):
        several.micro_batch(batch())
    measuring = Control(recipes.none())
    measuring.micro_batch(batch())
    measuring.micro_batch(batch())


def test_a_loop_without_a_second_draw_rejects_the_recipe_that_draws_again() -> None:
    with pytest.raises(ValueError, match=r"recipe 'aepo' needs `redraw` \(a second set of rollouts"):
        Control(recipes.aepo(target=0.4))


def test_a_recipe_that_needs_the_length_of_the_run() -> None:
    with pytest.raises(ValueError, match=r"recipe 'aent' needs the length of the run: pass `total_steps`"):
        Control(aent(anneal=0.5))
    control = Control(aent(anneal=0.5), total_steps=2)
    for expected in (0.2, 0.0):
        assert control.coefficient == pytest.approx(expected, abs=1e-9)
        control.micro_batch(batch().replace(clamped_entropy=torch.full((4, 6), 1.5)))
        control.close_step()


def test_ranks_without_collectives_and_things_that_are_no_recipes() -> None:
    with pytest.raises(ValueError, match="`reduce` must be given for world_size=2"):
        Control(aent(), world_size=2)
    with pytest.raises(TypeError, match="`recipe` must be an entrostat Recipe"):
        Control("aent")  # pyright: ignore[reportArgumentType]


# --- evaluation and state ----------------------------------------------------------------------


def test_evaluation_moves_nothing_and_leaves_the_open_step_alone() -> None:
    control = Control(aent())
    whole = batch()
    control.micro_batch(whole)
    with control.evaluating():
        control.micro_batch(whole.replace(clamped_entropy=whole.clamped_entropy * 100))
        assert control.close_step()["clamped_entropy"] > 10
        assert control.coefficient == 0.2
    expected = Control(aent())
    expected.micro_batch(whole)
    assert control.close_step() == pytest.approx(expected.close_step())
    assert control.coefficient == expected.coefficient


@pytest.mark.parametrize("window", ["step", "rollout"])
def test_a_resumed_run_goes_on_bit_for_bit(window: Any) -> None:
    straight, first = Control(aent(window=window)), Control(aent(window=window))
    resumed = Control(aent(window=window))
    for step in range(6):
        for control in (straight, first if step < 3 else resumed):
            if step % 2 == 0:
                control.fresh(batch(seed=step))
            control.micro_batch(batch(seed=step))
            control.close_step()
        if step == 2:
            resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert resumed.state_dict() == straight.state_dict()
    assert resumed.steps == 6


def test_the_state_of_another_recipe_or_controller_is_refused() -> None:
    control = Control(aent())
    saved = control.state_dict()
    with pytest.raises(ValueError, match="has recipe 'aent', this one has 'none'"):
        Control(recipes.none()).load_state_dict(saved)
    with pytest.raises(ValueError, match="low"):
        Control(aent(low=0.5)).load_state_dict(saved)
    with pytest.raises(ValueError, match="must have the fields"):
        control.load_state_dict({"recipe": "aent"})
    for damage in ({"steps": -1}, {"rollout": "yes"}, {"schema": 99}):
        with pytest.raises((ValueError, TypeError), match=next(iter(damage))):
            control.load_state_dict({**saved, **damage})


def test_an_open_step_is_not_saved() -> None:
    control = Control(aent())
    control.micro_batch(batch())
    with pytest.raises(RuntimeError, match="a step is open"):
        control.state_dict()


def test_the_coefficient_of_a_schedule_before_the_run_s_length_is_known() -> None:
    recipe = aent().with_controller(controllers.Annealed(controllers.Constant(coef=0.3)))
    control = Control(recipe, offers=frozenset(recipes.HOST_OFFERS))
    with control.evaluating():
        assert control.coefficient == 0.0
    control.bind_total(10)
    assert control.coefficient == 0.3
