"""Edits of fresh rollouts, and those of advantages: what all promise, then what each paper says of its own."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from entrostat import edits
from entrostat.edits._base import group_share, leave_one_out, z_scores

from ..batches import batch, on_ranks, part, rollouts
from .examples import ROLLOUT

FIELDS = ("advantages", "logit_scale", "weight")


@pytest.mark.parametrize(("active", "neutral", "facts"), ROLLOUT.values(), ids=ROLLOUT)
def test_the_contract(active: Any, neutral: Any, facts: dict[str, Any]) -> None:
    before = rollouts(garbage=True, **facts)
    assert neutral is None or neutral(before) is before
    kept = before.advantages.clone()
    after, clean = active(before), active(rollouts(**facts))
    changed = [name for name in FIELDS if getattr(after, name) is not getattr(before, name)]
    assert changed, f"{active} changes nothing here: list one that does in tests/edits/examples.py"
    assert active.sets <= set(changed)
    torch.testing.assert_close(before.advantages, kept, equal_nan=True, msg="changed in place")
    masked = ~before.mask.bool()
    torch.testing.assert_close(after.advantages[masked], kept[masked], equal_nan=True)
    for name in changed:
        value = getattr(after, name)
        assert not value.requires_grad
        assert value.dtype == torch.float32
        torch.testing.assert_close(value[~masked], getattr(clean, name)[~masked], msg="masked positions count")
        assert torch.isfinite(value[~masked]).all()


@pytest.mark.parametrize(("active", "_neutral", "facts"), ROLLOUT.values(), ids=ROLLOUT)
@pytest.mark.parametrize("cut", [4, 7])
def test_ranks_together_do_what_one_does_alone(active: Any, _neutral: Any, facts: dict[str, Any], cut: int) -> None:
    whole = rollouts(garbage=True, **facts)
    mask = whole.mask.bool()
    alone = active(whole)
    # Every group spans both ranks; with the second cut, the second rank has no token at all.
    pieces = on_ranks(active, [part(whole, slice(0, cut)), part(whole, slice(cut, 8))])
    for name in FIELDS:
        expected, found = getattr(alone, name), [getattr(piece, name) for piece in pieces]
        if expected is not None:
            torch.testing.assert_close(torch.cat(found)[mask], expected[mask], rtol=1e-5, atol=1e-6)


def test_group_statistics_by_hand() -> None:
    few = part(rollouts(), slice(0, 4)).replace(group_ids=torch.tensor([0, 0, 0, 1]))
    values = torch.tensor([1.0, 2.0, 6.0, 5.0])
    torch.testing.assert_close(leave_one_out(few, values), torch.tensor([-3.0, -1.5, 4.5, 0.0]).double())
    std = math.sqrt(7.0) + 1e-4
    torch.testing.assert_close(z_scores(few, values), torch.tensor([-2 / std, -1 / std, 3 / std, 0.0]).double())
    kept = torch.tensor([True, False, False, True])
    torch.testing.assert_close(group_share(few, kept), torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0]).double())
    among = torch.tensor([True, True, False, True])
    torch.testing.assert_close(leave_one_out(few, values, among)[:2], torch.tensor([-1.0, 1.0]).double())
    torch.testing.assert_close(group_share(few, kept, among), torch.tensor([0.5, 0.5, 0.5, 1.0]).double())


@pytest.mark.parametrize(
    ("field", "edit"),
    [
        ("group_ids", ROLLOUT["curiosity"][0]),
        ("rewards", ROLLOUT["curiosity"][0]),
        ("old_entropy", ROLLOUT["sharpened"][0]),
        ("mean_logit", ROLLOUT["uncertainty"][0]),
    ],
)
def test_a_missing_field_is_named(field: str, edit: Any) -> None:
    with pytest.raises(ValueError, match=f"no `{field}`"):
        edit(rollouts().replace(**{field: None}))


# --- entropy-shaped advantage ------------------------------------------------------------------

# Rounded: below float's normal range |A| / kappa may round up to |A| itself.
amounts = st.floats(-3, 3, width=32).map(lambda value: round(value, 4))


@given(
    entropy=st.lists(st.floats(0, 8, width=32), min_size=6, max_size=6),
    advantage=st.lists(amounts, min_size=6, max_size=6),
    alpha=st.floats(0.01, 5),
    kappa=st.floats(1.01, 10),
)
def test_the_shaped_advantage_keeps_its_sign_and_its_bound(
    entropy: list[float], advantage: list[float], alpha: float, kappa: float
) -> None:
    before = batch(rows=2, length=6).replace(
        entropy=torch.tensor([entropy, entropy]), advantages=torch.tensor([advantage, advantage]),
        mask=torch.ones(2, 6),
    )  # fmt: skip
    after = edits.EntropyAdvantage(alpha=alpha, kappa=kappa)(before)
    psi = after.advantages - before.advantages
    assert (psi >= 0).all()
    assert (psi <= before.advantages.abs() / kappa * (1 + 1e-5) + 1e-6).all()
    assert torch.equal(after.advantages.sign(), before.advantages.sign())


# --- 80/20 -------------------------------------------------------------------------------------


def test_keeping_every_token_is_the_host_s_own_batch() -> None:
    before = batch()
    assert edits.EntropyMask(keep=1.0)(before) is before


# --- Entrocraft --------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "side"), [(5.0, -1), (0.0, 1)])
def test_the_band_keeps_what_leads_back(low: float, side: int) -> None:
    before = rollouts()
    counted = before.mask.bool()
    after = edits.BandFilter(low=low, high=low + 0.1)(before)
    kept = counted & (side * before.advantages >= 0)
    assert not after.advantages[counted & ~kept].any()
    # Group 0 holds 2 good and 2 bad responses, group 1 holds 1 and 2 with tokens: its last response is empty.
    size, share = torch.tensor([4.0, 3.0]), torch.tensor([2.0, 2.0] if side < 0 else [2.0, 1.0])
    factor = (size / share)[before.group_ids].unsqueeze(1).expand_as(counted)
    torch.testing.assert_close(after.advantages[kept], (before.advantages * factor)[kept])


def test_the_band_divides_by_kept_tokens_on_demand() -> None:
    before = rollouts()
    counted = before.mask.bool()
    kept = counted & (before.advantages >= 0)
    after = edits.BandFilter(low=0.0, high=0.1, normalise="batch")(before)
    torch.testing.assert_close(after.advantages[kept], before.advantages[kept] * counted.sum() / kept.sum())


@pytest.mark.parametrize(("low", "expected"), [(5.0, [0.0, -1.0]), (0.0, [1.0, 0.0])])
@pytest.mark.parametrize("zero_one", [False, True])
def test_the_published_code_s_raw_rewards(low: float, expected: list[float], zero_one: bool) -> None:
    before = rollouts()
    before = before.replace(rewards=(before.rewards + 1) / 2) if zero_one else before
    after = edits.BandFilter(low=low, high=low + 0.1, raw_rewards=True, zero_one=zero_one)(before)
    assert after.advantages[:2, 0].tolist() == expected


def test_the_band_s_course() -> None:
    linear = edits.BandFilter(low=0.6, high=0.7, low_end=0.4, high_end=0.5)
    cosine = edits.BandFilter(low=0.6, high=0.7, low_end=0.4, high_end=0.5, shape="cosine")
    assert linear.band(0, 100) == cosine.band(0, 100) == linear.band(7, None) == (0.6, 0.7)
    assert linear.band(25, 100) == pytest.approx((0.55, 0.65))
    fallen = 0.2 * (1 - math.cos(math.pi / 4)) / 2
    assert cosine.band(25, 100) == pytest.approx((0.6 - fallen, 0.7 - fallen))
    for band in (linear, cosine):
        assert band.band(100, 100) == pytest.approx((0.4, 0.5))
        assert band.band(130, 100) == band.band(100, 100)


def test_a_batch_whose_entropy_is_not_known_is_left_alone() -> None:
    before = rollouts()
    lost = before.replace(old_entropy=torch.full_like(before.old_entropy, torch.nan))
    assert edits.BandFilter(low=1.0, high=2.0)(lost) is lost


# --- STARE -------------------------------------------------------------------------------------


def test_a_shut_gate_is_the_batch_itself() -> None:
    before = rollouts()
    assert edits.SurprisalWeights(share=0.1)(before) is before


@pytest.mark.parametrize("falls", [0.0, 1.0, 2.0])
def test_the_most_surprising_tokens_of_either_sign_are_weighed(falls: float) -> None:
    before = rollouts(coef=0.1)
    after = edits.SurprisalWeights(share=0.1, falls=falls)(before)
    for sign, weight in ((1, 1.1), (-1, 1 - 0.1 * falls)):
        among = before.mask.bool() & (before.advantages * sign > 0)
        ratio = (after.advantages / before.advantages)[among]
        chosen = before.logprobs[among].topk(math.ceil(0.1 * int(among.sum())), largest=False).indices
        expected = torch.ones_like(ratio)
        expected[chosen] = weight
        torch.testing.assert_close(ratio, expected)


def test_at_least_one_token_is_weighed() -> None:
    before = rollouts(coef=0.1)
    after = edits.SurprisalWeights(share=1e-6)(before)
    assert int(((after.advantages != before.advantages) & before.mask.bool()).sum()) == 1


# --- CDE ---------------------------------------------------------------------------------------


def test_the_curiosity_bonus_has_its_cap_and_keeps_the_sign() -> None:
    before = rollouts()
    edit = edits.CuriosityReward(alpha=1.0, kappa=3.0)
    bonus = edit.rewards(before) - before.rewards
    surprise = torch.tensor(
        [-before.logprobs[row][before.mask[row].bool()].mean().item() for row in range(7)] + [0.0]
    ).double()
    torch.testing.assert_close(bonus, surprise.clamp(max=1 / 3), rtol=1e-5, atol=1e-6)
    assert (bonus <= 1 / 3 + 1e-9).all()
    assert torch.equal(edit.rewards(before).sign(), before.rewards.double().sign())
    binary = edits.CuriosityReward(alpha=1.0, kappa=3.0, zero_one=True)
    torch.testing.assert_close(binary.rewards(before.replace(rewards=(before.rewards + 1) / 2)), edit.rewards(before))


def test_the_curiosity_bonus_goes_down_a_staircase() -> None:
    edit = edits.CuriosityReward(alpha=1.0, kappa=3.0, stairs=[[0, 1], [0.5, 0.25], [0.75, 0]])
    assert [edit.weight(step, 100) for step in (0, 49, 50, 74, 75, 100)] == [1, 1, 0.25, 0.25, 0, 0]
    assert edit.weight(99, None) == 1


@pytest.mark.parametrize("stairs", [[], [[0.5, 1]], [[0, 1], [0, 2]], [[0, 1], [0.5]], [[0, -1]]])
def test_stairs_that_are_none(stairs: Any) -> None:
    with pytest.raises(ValueError, match="`stairs` must be pairs"):
        edits.CuriosityReward(alpha=1.0, kappa=3.0, stairs=stairs)


# --- UCAS --------------------------------------------------------------------------------------


def test_uncertainty_shapes_by_confidence_and_keeps_signs() -> None:
    before = rollouts(temperature=0.5)
    counted = before.mask.bool()
    stage_one = edits.UncertaintyAdvantage(up=0.25, down=0.35, penalty=0.0)(before).advantages
    assert torch.equal(stage_one[counted].sign(), before.advantages[counted].sign())
    confidence = (before.target_logit - before.mean_logit) / 0.5 - before.logprobs.detach()
    mean = torch.stack([confidence[row][counted[row]].mean() for row in range(7)] + [torch.tensor(0.0)])
    z = z_scores(before, mean, counted.any(1))
    gain = torch.where(before.advantages[:, 0] > 0, (-0.25 * z).exp(), (0.35 * z).exp())
    expected = before.advantages * gain.float().unsqueeze(1)
    torch.testing.assert_close(stage_one[counted], expected[counted])
    both = edits.UncertaintyAdvantage(up=0.25, down=0.35, penalty=0.05)(before).advantages
    logits = before.target_logit[counted]
    unit = (logits - logits.min()) / (logits.max() - logits.min())
    loss = 0.05 * unit
    torch.testing.assert_close(both[counted], torch.where(
        expected[counted] > 0, (expected[counted] - loss).clamp(min=0), expected[counted] - loss
    ))  # fmt: skip


def test_equal_logits_are_half_way() -> None:
    before = rollouts()
    before = before.replace(target_logit=torch.ones_like(before.target_logit), advantages=0 * before.advantages)
    after = edits.UncertaintyAdvantage(up=0.25, down=0.35, penalty=0.05)(before)
    assert after.advantages[before.mask.bool()].unique().tolist() == pytest.approx([-0.025])


# --- RENT, EM-RL -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reward", "baseline", "expected"),
    [
        ("mean_entropy", "z_score", [0.25 / (math.sqrt(0.125) + 1e-4), -0.25 / (math.sqrt(0.125) + 1e-4)]),
        ("sum_entropy", "leave_one_out", [0.0, 0.0]),
        ("logprob", "leave_one_out", [-3.0, 3.0]),
    ],
)
def test_self_rewards_by_hand(reward: Any, baseline: Any, expected: list[float]) -> None:
    two = part(rollouts(), slice(0, 2)).replace(
        group_ids=torch.tensor([0, 0]), mask=torch.tensor([[1, 1] + [0] * 7, [1] + [0] * 8]),
        old_entropy=torch.tensor([[0.25, 0.75] + [9.0] * 7, [1.0] + [9.0] * 8]),
        logprobs=torch.tensor([[-1.0, -3.0] + [9.0] * 7, [-1.0] + [9.0] * 8]),
    )  # fmt: skip
    after = edits.SelfReward(reward=reward, baseline=baseline)(two)
    assert after.advantages[:, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(after.advantages[:, 2:], two.advantages[:, 2:])


# --- ERA ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2.0, 0.5])
def test_the_gradient_under_scaled_logits_is_that_of_a_sharper_model(k: float) -> None:
    z = torch.randn(7, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(1.7 / k * (k * z).log_softmax(0)[3], z)
    expected = 1.7 * (torch.nn.functional.one_hot(torch.tensor(3), 7) - (k * z).softmax(0))
    torch.testing.assert_close(gradient, expected.detach(), rtol=0, atol=1e-12)


def test_sharpening_by_the_response_s_most_uncertain_tokens() -> None:
    before = rollouts()
    entropy = torch.zeros(8, 9)
    entropy[0, 0] = 1.0  # one of nine tokens: int(0.2 * 9) = 1, so h = 1
    entropy[2, :2] = torch.tensor([0.2, 0.1])
    entropy[3] = 5.0
    before = before.replace(old_entropy=entropy)
    counted = before.mask.bool()
    good = counted & (before.advantages > 0)
    after = edits.SharpenedLogits(k=2.0, low=0.45, high=3.0)(before)
    factors = torch.tensor([1.0, 2.0, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0]).unsqueeze(1).expand(8, 9)
    expected = torch.where(good, factors, 1.0)
    torch.testing.assert_close(after.logit_scale, expected)
    torch.testing.assert_close(after.advantages[good], (before.advantages / factors)[good])
    assert torch.equal(after.advantages[~good], before.advantages[~good]), "bad responses are untouched, bit for bit"
    plain = edits.SharpenedLogits(k=2.0, low=0.45, high=3.0, scale_advantages=False)(before)
    assert plain.advantages is before.advantages


def test_the_published_integer_truncation() -> None:
    before = rollouts()
    before = before.replace(old_entropy=torch.zeros(8, 9), advantages=before.advantages * 1.1)
    after = edits.SharpenedLogits(k=2.0, low=0.45, high=3.0, truncate=True)(before)
    counted = before.mask.bool()
    assert torch.equal(after.logit_scale == 2.0, counted & (before.advantages >= 1))
    assert (counted & (before.advantages > 0) & (before.advantages < 1)).any()
    good = counted & (before.advantages > 0)
    torch.testing.assert_close(after.advantages[good], before.advantages[good] / 2, msg="scaled all the same")


# --- AEPO --------------------------------------------------------------------------------------


def entropy_of(logits: Tensor) -> Tensor:
    return -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)


@pytest.mark.parametrize("temperature", [0.8, 0.9, 1.1, 1.2])
def test_imitating_hotter_samples_raises_entropy_and_cooler_ones_lower_it(temperature: float) -> None:
    z = torch.randn(500, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).mul_(2).requires_grad_()
    drawn = (z.detach() / temperature).softmax(-1)
    (step,) = torch.autograd.grad((drawn * z.log_softmax(-1)).sum(), z)
    (slope,) = torch.autograd.grad(entropy_of(z).sum(), z)
    assert ((step * slope).sum(-1).sign() == math.copysign(1, temperature - 1)).all()


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "settings", "says"),
    [
        (edits.EntropyAdvantage, {"alpha": 0.1, "kappa": 1.0}, "`kappa` must be above 1"),
        (edits.EntropyAdvantage, {"alpha": -0.1, "kappa": 2.0}, "`alpha` must be at least 0"),
        (edits.BandFilter, {"low": 0.3, "high": 0.2}, "`low` must be at most"),
        (edits.BandFilter, {"low": 0.1, "high": 0.2, "low_end": 0.3}, "`low_end` must be at most"),
        (edits.BandFilter, {"low": 0.1, "high": 0.2, "shape": "linaer"}, "Did you mean 'linear'"),
        (edits.BandFilter, {"low": 0.1, "high": 0.2, "normalise": "groups"}, "Did you mean 'group'"),
        (edits.SurprisalWeights, {"share": 0.0}, r"`share` must lie in \(0, 1\]"),
        (edits.SurprisalWeights, {"share": 0.1, "falls": -1.0}, "`falls` must be at least 0"),
        (edits.CuriosityReward, {"alpha": 1.0, "kappa": 0.5}, "`kappa` must be above 1"),
        (edits.UncertaintyAdvantage, {"up": -1.0, "down": 0.0, "penalty": 0.0}, "`up` must be at least 0"),
        (
            edits.UncertaintyAdvantage,
            {"up": 1.0, "down": 0.0, "penalty": 0.0, "confidence": "means"},
            "Did you mean 'mean'",
        ),
        (edits.SelfReward, {"reward": "entropy", "baseline": "z_score"}, "unknown reward 'entropy'"),
        (edits.SelfReward, {"reward": "logprob", "baseline": "zscore"}, "Did you mean 'z_score'"),
        (edits.SharpenedLogits, {"k": 0.5, "low": 0.1, "high": 1.0}, "`k` must be at least 1"),
        (edits.SharpenedLogits, {"k": 2.0, "low": 2.0, "high": 1.0}, "`high` must be at least"),
        (edits.ScaleAdvantage, {"factor": math.nan}, "`factor` must be finite"),
    ],
)
def test_settings_out_of_range(edit: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        edit(**settings)
