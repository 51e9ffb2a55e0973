"""Recipes that work on the ratio: what each does to the gradient of the host's own clipped loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, recipes
from entrostat.losses import clipped_surrogate

from ..hosts import applied, drifted, gradient, host_gradient, per_token, reduced

RATIO: list[recipes.Recipe] = [
    recipes.clip_higher(),
    recipes.cispo(high=0.3),
    recipes.gspo(),
    recipes.ce_gppo(),
    recipes.gppo(dual_clip=3.0),
    recipes.erc(),
    recipes.erc(base="gppo"),
    recipes.kl_cov(),
    recipes.kl_cov(dead_zone=0.0, scope="micro_batch"),
    recipes.flexible_clipping(),
    recipes.flexible_clipping(shape="DID", preserve=True),
    recipes.flexible_clipping(shape="OD"),
    recipes.rpg(coef=0.1),
    recipes.rpg(coef=0.1, divergence="unnormalized_forward"),
]
every_ratio = pytest.mark.parametrize("recipe", RATIO, ids=lambda recipe: recipe.name)


def on_policy(**fields: Any) -> TokenBatch:
    """Return a batch whose policy is still the one that wrote it."""
    batch = drifted(**fields)
    return batch.replace(logprobs=batch.old_logprobs.clone().requires_grad_(), old_entropy=batch.entropy)


def clip_bound(batch: TokenBatch, low: float, high: float) -> Tensor:
    """Return which tokens PPO's clip would leave without gradient."""
    ratio = (batch.logprobs - batch.old_logprobs).detach().exp()
    beyond = ((ratio < 1 - low) & (batch.advantages < 0)) | ((ratio > 1 + high) & (batch.advantages > 0))
    return beyond & batch.mask.bool()


# --- at the first update nothing has moved -----------------------------------------------------


@every_ratio
@pytest.mark.parametrize("average", ["tokens", "responses"])
def test_on_policy_all_of_them_are_the_plain_policy_gradient(recipe: recipes.Recipe, average: str) -> None:
    batch = on_policy()
    plain = gradient(reduced(-batch.advantages * batch.logprobs, batch.mask, average), batch)
    torch.testing.assert_close(host_gradient(recipe, batch, average), plain, rtol=1e-7, atol=1e-9)


@every_ratio
def test_off_policy_each_of_them_changes_the_gradient_of_ppo(recipe: recipes.Recipe) -> None:
    batch = drifted(rows=12)
    plain = host_gradient(recipes.none(), batch)
    assert not torch.allclose(host_gradient(recipe, batch), plain, rtol=1e-3, atol=1e-6)


@every_ratio
def test_a_recipe_that_needs_the_ratio_to_move_says_so(recipe: recipes.Recipe) -> None:
    assert recipe.ratio_only
    assert "old_logprobs" in recipe.needs


# --- CE-GPPO and GPPO --------------------------------------------------------------------------


def one_token(ratio: float, advantage: float) -> TokenBatch:
    one = torch.ones(1, 1, dtype=torch.float64)
    logprobs = (one * math.log(0.4 * ratio)).requires_grad_()
    return TokenBatch(
        logprobs=logprobs, old_logprobs=one * math.log(0.4), advantages=one * advantage, mask=one, entropy=one,
        clamped_entropy=one, kept_mass=one, clip_low=0.2 * one, clip_high=0.2 * one,
    )  # fmt: skip


def test_ce_gppo_s_numeric_example() -> None:
    batch = one_token(ratio=0.5, advantage=-1.0)
    loss = per_token(applied(recipes.ce_gppo(beta_low=0.75), batch))
    assert loss.item() == pytest.approx(0.6)
    assert gradient(loss.sum(), batch).item() == pytest.approx(0.6)


def test_ce_gppo_weighs_the_two_sides_as_equation_8_does() -> None:
    batch = drifted(rows=40)
    beta_low, beta_high, low, high = 0.3, 0.7, 0.2, 0.25
    ratio = (batch.logprobs - batch.old_logprobs).detach().exp()
    factor = torch.where((batch.advantages < 0) & (ratio < 1 - low), beta_low * (1 - low), ratio)
    factor = torch.where((batch.advantages > 0) & (ratio > 1 + high), beta_high * (1 + high), factor)
    wanted = -factor * batch.advantages * batch.mask / batch.mask.sum()
    recipe = recipes.ce_gppo(beta_low=beta_low, beta_high=beta_high, low=low, high=high)
    torch.testing.assert_close(host_gradient(recipe, batch), wanted)


def test_without_factors_ce_gppo_has_ppo_s_gradient_and_with_ones_gppo_s() -> None:
    batch = drifted(rows=40)
    ppo = recipes.clip_higher(low=0.2, high=0.2)
    neither = recipes.ce_gppo(beta_low=0, beta_high=0)
    torch.testing.assert_close(host_gradient(neither, batch), host_gradient(ppo, batch))
    upper_only = recipes.ce_gppo(beta_low=0, beta_high=1)
    torch.testing.assert_close(
        host_gradient(upper_only, batch)[batch.advantages < 0], host_gradient(ppo, batch)[batch.advantages < 0]
    )
    assert recipes.ce_gppo(beta_low=1, beta_high=1).edits == recipes.gppo().edits

    ratio = (batch.logprobs - batch.old_logprobs).exp()
    bounds = [bound * ratio / ratio.detach() for bound in (0.8, 1.2)]
    clipped = torch.minimum(torch.maximum(ratio, bounds[0]), bounds[1])
    # A tie between the two arguments of a minimum would halve gradients that are both wanted whole.
    written = torch.where(clip_bound(batch, 0.2, 0.2), clipped, ratio) * batch.advantages
    explicit = reduced(-written, batch.mask, "tokens")
    torch.testing.assert_close(host_gradient(recipes.gppo(), batch), gradient(explicit, batch))


@pytest.mark.parametrize("ratio", [9.0, 11.0])
def test_the_dual_clip_bounds_the_loss_of_a_punished_token(ratio: float) -> None:
    batch = one_token(ratio=ratio, advantage=-0.5)
    edited = applied(recipes.ce_gppo(dual_clip=10), batch)
    assert per_token(edited).item() == pytest.approx(0.5 * min(ratio, 10))
    assert gradient(per_token(edited).sum(), batch).item() == pytest.approx(0.5 * ratio if ratio < 10 else 0)
    mended = per_token(applied(recipes.ce_gppo(), batch))
    assert gradient(mended.sum(), batch).item() == pytest.approx(0.5 * ratio)


# --- CISPO -------------------------------------------------------------------------------------


def test_cispo_weighs_every_token_by_its_clipped_ratio() -> None:
    batch = drifted(rows=40)
    ratio = (batch.logprobs - batch.old_logprobs).detach().exp()
    weight = ratio.clamp(0, 1.3)
    got = host_gradient(recipes.cispo(high=0.3), batch)
    torch.testing.assert_close(got, -weight * batch.advantages * batch.mask / batch.mask.sum())
    counted = batch.mask.bool()
    assert (got[counted] != 0).all(), "no token is dropped"
    assert (got.abs()[counted] <= 1.3 * batch.advantages.abs()[counted] / batch.mask.sum() + 1e-12).all()


def test_cispo_s_lower_bound_raises_the_weight_of_tokens_that_lost_probability() -> None:
    batch = one_token(ratio=0.5, advantage=1.0)
    assert host_gradient(recipes.cispo(high=0.2, low=0.2), batch).item() == pytest.approx(-0.8)
    assert host_gradient(recipes.cispo(high=0.2), batch).item() == pytest.approx(-0.5)


# --- GSPO and ESPO against their objectives written out ----------------------------------------


def test_gspo_is_its_sequence_objective() -> None:
    batch = drifted(rows=12, drift=0.02)
    low, high = 3e-3, 4e-3
    objective = torch.zeros((), dtype=torch.float64)
    clipped = 0
    for row in range(12):
        own = batch.mask[row].bool()
        s = (batch.logprobs[row, own] - batch.old_logprobs[row, own]).mean().exp()
        advantage = batch.advantages[row, 0]
        objective = objective + torch.minimum(s * advantage, s.clamp(1 - low, 1 + high) * advantage) / 12
        clipped += int((advantage > 0) == (s > 1 + high) and not 1 - low <= s <= 1 + high)
    assert 0 < clipped < 12, "the example has kept and dropped responses"
    edited = applied(recipes.gspo(low=low, high=high), batch)
    loss = reduced(per_token(edited), batch.mask, "responses")
    assert loss.item() == pytest.approx(-objective.item(), rel=1e-10)
    torch.testing.assert_close(gradient(loss, batch), -gradient(objective, batch))


def espo_objective(batch: TokenBatch, alpha: float, top: float, denominator: str) -> Tensor:
    """Return ESPO's objective, response by response and group by group."""
    assert batch.old_entropy is not None
    total = torch.zeros((), dtype=torch.float64)
    for row in range(len(batch.mask)):
        own = batch.mask[row].nonzero().flatten()
        size = math.ceil(round(top * len(own), 9))
        order = own[batch.old_entropy[row, own].argsort(descending=True)]
        groups = [group for group in (order[:size], order[size:]) if len(group)]
        for group in groups:
            lp, lp0 = batch.logprobs[row, group], batch.old_logprobs[row, group]
            s = (lp - lp0).mean().exp().detach()
            ratio = s * (lp - (lp.detach() if denominator == "current" else lp0)).exp()
            eps = alpha / math.log(1024) * batch.old_entropy[row, group].mean()
            clipped = torch.minimum(torch.maximum(ratio, 1 - eps), 1 + eps)
            advantage = batch.advantages[row, group]
            part = torch.minimum(ratio * advantage, clipped * advantage).mean()
            total = total + part / len(groups) / len(batch.mask)
    return total


@pytest.mark.parametrize("denominator", ["current", "old"])
@pytest.mark.parametrize("top", [0.2, 0.5])
def test_espo_is_its_grouped_objective(denominator: Any, top: float) -> None:
    batch = drifted(rows=14, drift=0.05)
    explicit = espo_objective(batch, 0.2, top, denominator)
    edited = applied(recipes.espo(alpha=0.2, top=top, denominator=denominator), batch)
    loss = reduced(per_token(edited), batch.mask, "responses")
    assert loss.item() == pytest.approx(-explicit.item(), rel=1e-6)
    got = gradient(loss, batch)
    torch.testing.assert_close(got, -gradient(explicit, batch), rtol=1e-6, atol=1e-9)
    assert (got[batch.mask.bool()] == 0).any(), "the example has clipped groups"


def test_espo_s_uncertain_tokens_weigh_four_times_as_much() -> None:
    batch = on_policy(rows=2, length=10, mask=torch.ones(2, 10))
    weight = -host_gradient(recipes.espo(), batch, "responses") * 20 / batch.advantages
    assert batch.old_entropy is not None
    uncertain = batch.old_entropy.argsort(1, descending=True).argsort(1) < 2
    torch.testing.assert_close(weight[uncertain] / 4, weight[~uncertain][:4], rtol=1e-6, atol=0)
    assert weight.mean().item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(("entropy", "width"), [(0.2, 3.4e-4), (0.5, 8.4e-4), (1.0, 1.7e-3), (2.0, 3.4e-3)])
def test_espo_s_clip_range_on_a_real_vocabulary(entropy: float, width: float) -> None:
    ones = torch.full((1, 5), entropy, dtype=torch.float64)
    batch = on_policy(rows=1, length=5, vocab=151936).replace(old_entropy=ones)
    edited = applied(recipes.espo(), batch)
    assert edited.clip_high[0, 0].item() == pytest.approx(width, rel=0.03)
    assert torch.equal(edited.clip_high, edited.clip_low)


# --- ERC ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["dapo", "gppo"])
def test_erc_takes_gradients_and_leaves_the_loss(base: Any) -> None:
    batch = drifted(rows=20)
    assert batch.old_entropy is not None
    with_mask, without = recipes.erc(base=base), recipes.erc(base=base, low=1.0, high=math.inf)
    torch.testing.assert_close(per_token(applied(with_mask, batch)), per_token(applied(without, batch)))
    q = batch.entropy / batch.old_entropy
    outside = ~((q > 0.95) & (q < 1.05)) & batch.mask.bool()
    inside = batch.mask.bool() & ~outside
    assert outside.any()
    assert inside.any()
    got, full = host_gradient(with_mask, batch), host_gradient(without, batch)
    assert not got[outside].any()
    torch.testing.assert_close(got[inside], full[inside])


def test_erc_counts_as_clipped_in_the_host_s_log() -> None:
    batch = drifted(rows=20)
    edited = applied(recipes.erc(dual_clip=None), batch)
    out = clipped_surrogate(
        edited.logprobs, edited.old_logprobs, edited.advantages, clip_low=edited.clip_low, clip_high=edited.clip_high
    )
    without_gradient = (host_gradient(recipes.erc(dual_clip=None), batch) == 0) & batch.mask.bool()
    assert torch.equal((out.clipped_low | out.clipped_high) & batch.mask.bool(), without_gradient)


# --- KL-Cov ------------------------------------------------------------------------------------


def test_kl_cov_pays_on_the_tokens_of_largest_covariance_and_clips_nothing() -> None:
    batch = drifted(rows=40, drift=0.8)
    recipe = recipes.kl_cov(share=0.05, coef=0.3, scope="micro_batch")
    counted, tokens = batch.mask.bool(), batch.mask.sum()
    logprobs = batch.logprobs.detach()
    c = (logprobs - logprobs[counted].mean()) * (batch.advantages - batch.advantages[counted].mean())
    chosen = counted & (c >= c[counted].topk(int(0.05 * tokens)).values.min())
    drift = logprobs - batch.old_logprobs
    wanted = -drift.exp() * batch.advantages + 0.3 * chosen * drift.sign() * (drift.abs() > 1e-3)
    torch.testing.assert_close(host_gradient(recipe, batch), wanted * counted / tokens)


def test_rounding_noise_is_punished_only_without_the_dead_zone() -> None:
    batch = on_policy(rows=40)
    noisy = batch.replace(old_logprobs=batch.old_logprobs + 1e-6 * torch.randn_like(batch.old_logprobs))
    plain = gradient(reduced(-batch.advantages * batch.logprobs, batch.mask, "tokens"), batch)
    torch.testing.assert_close(host_gradient(recipes.kl_cov(share=0.1), noisy), plain, rtol=1e-4, atol=1e-7)
    published = host_gradient(recipes.kl_cov(share=0.1, dead_zone=0.0), noisy)
    hit = (published - plain).abs() > 0.9 / batch.mask.sum()
    assert int(hit.sum()) == int(0.1 * batch.mask.sum())


# --- RPG ---------------------------------------------------------------------------------------

KIND = {
    "forward": (lambda p, q: (q * (q / p).log()).sum(), lambda w, log_p, r, b: -w * r - b * log_p),
    "reverse": (lambda p, q: (p * (p / q).log()).sum(), lambda w, log_p, r, b: w * (-r + b * w.log())),
    "unnormalized_forward": (
        lambda p, q: (q * (q / p).log() - q + p).sum(),
        lambda w, log_p, r, b: -w * r + b * (w - w.log() - 1),
    ),
    "unnormalized_reverse": (
        lambda p, q: (p * (p / q).log() - p + q).sum(),
        lambda w, log_p, r, b: -w * r + b * (w * w.log() - w),
    ),
}


@pytest.mark.parametrize("divergence", KIND)
def test_rpg_s_two_forms_are_the_exact_gradient(divergence: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    theta, other, reward = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    theta.requires_grad_()
    log_p, old, coef = theta.log_softmax(0), other.softmax(0), 0.3
    measure, differentiable = KIND[divergence]
    objective = (log_p.exp() * reward).sum() - coef * measure(log_p.exp(), old)
    (exact,) = torch.autograd.grad(-objective, theta, retain_graph=True)

    as_loss = (old * differentiable((log_p - old.log()).exp(), log_p, reward, coef)).sum()
    (by_loss,) = torch.autograd.grad(as_loss, theta, retain_graph=True)

    ones = torch.ones(1, 7, dtype=torch.float64)
    every_action = TokenBatch(
        logprobs=log_p[None], old_logprobs=old.log()[None], advantages=reward[None], mask=ones, entropy=ones,
        clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
    )  # fmt: skip
    edited = applied(recipes.rpg(coef=coef, divergence=divergence, low=1, high=1e9, dual_clip=None), every_action)
    (by_edit,) = torch.autograd.grad((old * per_token(edited)[0]).sum(), theta)

    torch.testing.assert_close(by_loss, exact, rtol=0, atol=1e-10)
    torch.testing.assert_close(by_edit, exact, rtol=0, atol=1e-10)


def test_rpg_s_published_branch_takes_the_clamped_ratio() -> None:
    batch = drifted(rows=20)
    counted = batch.mask.bool()
    log_w = (batch.logprobs - batch.old_logprobs).detach()
    plain, clamped = (applied(recipes.rpg(coef=0.5, clamped=each), batch).advantages for each in (False, True))
    torch.testing.assert_close(plain[counted], (batch.advantages - 0.5 * log_w)[counted])
    bounded = log_w.clamp(math.log(0.8), math.log(1.28))
    torch.testing.assert_close(clamped[counted], (batch.advantages - 0.5 * bounded)[counted])


# --- flexible clipping -------------------------------------------------------------------------


def bounds(shape: Any, step: int, old_p: float, coef: float = 0.0) -> tuple[float, float]:
    """Return how far below and above 1 the ratio may go, at one old probability."""
    batch = drifted(rows=1, length=2, step=step, coef=coef)
    batch = batch.replace(old_logprobs=torch.full_like(batch.old_logprobs, math.log(old_p)))
    edited = applied(recipes.flexible_clipping(shape=shape), batch)
    return edited.clip_low[0, 0].item(), edited.clip_high[0, 0].item()


@pytest.mark.parametrize(("old_p", "upper"), [(0.01, 1.496), (0.5, 1.333), (0.9, 1.224)])
def test_the_upper_line_solved_for_the_ratio(old_p: float, upper: float) -> None:
    assert 1 + bounds("ID", 0, old_p)[1] == pytest.approx(upper, abs=5e-4)


@pytest.mark.parametrize(
    ("shape", "step", "below", "above"),
    [
        ("ID", 0, "eps", "line"), ("ID", 5, "eps", "eps"), ("ID", 10, "eps", "eps"),
        ("DID", 0, "eps", "eps"), ("DID", 5, "eps", "line"), ("DID", 10, "eps", "line"),
    ],
)  # fmt: skip
def test_the_ends_of_the_schedules(shape: Any, step: int, below: str, above: str) -> None:
    low, high = bounds(shape, step, 0.02)
    assert high == pytest.approx(0.2 if above == "eps" else 1.5 / 1.005 - 1)
    assert low == pytest.approx(0.2 if below == "eps" else 0.298, abs=1e-3)


@pytest.mark.parametrize("shape", ["ID", "DID"])
def test_in_the_second_half_the_lower_bound_relaxes_to_the_standard_one(shape: Any) -> None:
    lows = [bounds(shape, step, 0.02)[0] for step in range(5, 11)]
    assert lows[0] == pytest.approx(0.2)  # still the first half
    assert lows[1:] == sorted(lows[1:], reverse=True)
    batch = drifted(rows=1, length=2, step=50_001, total_steps=100_000)
    batch = batch.replace(old_logprobs=torch.full_like(batch.old_logprobs, math.log(0.02)))
    just_after = applied(recipes.flexible_clipping(shape=shape), batch).clip_low[0, 0].item()
    assert just_after == pytest.approx(0.298, abs=1e-3)


def test_the_switch_opens_one_side() -> None:
    assert bounds("OD", 0, 0.02, coef=1.0) == (pytest.approx(0.2), pytest.approx(1.5 / 1.005 - 1))
    assert bounds("OD", 0, 0.02, coef=0.0) == (pytest.approx(0.298, abs=1e-3), pytest.approx(0.2))


@pytest.mark.parametrize("step", [0, 2, 7])
def test_a_token_is_clipped_just_where_its_present_probability_says(step: int) -> None:
    batch = drifted(rows=60, step=step)
    recipe = recipes.flexible_clipping()
    lam = 1 - 2 * step / 10
    p = batch.logprobs.detach().exp()
    upper = lam * (-0.25 * p + 0.5) + (1 - lam) * 0.2 if step <= 5 else torch.full_like(p, 0.2)
    lower = (1 + lam) * (-0.13 * p + 0.3) - lam * 0.2 if step > 5 else torch.full_like(p, 0.2)
    ratio = (batch.logprobs - batch.old_logprobs).detach().exp()
    beyond = ((batch.advantages > 0) & (ratio > 1 + upper)) | ((batch.advantages < 0) & (ratio < 1 - lower))
    without_gradient = host_gradient(recipe, batch) == 0
    assert torch.equal(without_gradient & batch.mask.bool(), beyond & batch.mask.bool())


# --- rejected settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("cispo", {}, "needs `high`"),
        ("clip_cov", {"scope": "epoch"}, "Did you mean|Known: micro_batch, rollout"),
        ("clip_cov", {"low": 6.0}, "`low` must be below `high`"),
        ("kl_cov", {"share": 0.0}, r"`share` must lie in \(0, 1\]"),
        ("kl_cov", {"dead_zone": -1.0}, "`dead_zone` must be at least 0"),
        ("gspo", {"low": 2.0}, r"`low` must lie in \[0, 1\]"),
        ("espo", {"denominator": "new"}, "unknown denominator 'new'"),
        ("espo", {"top": 1.0}, r"`top` must lie in \(0, 1\)"),
        ("ce_gppo", {"beta_low": -1.0}, "`low` must be at least 0"),
        ("gppo", {"dual_clip": 0.5}, "`limit` must be at least 1"),
        ("erc", {"base": "ppo"}, "Did you mean 'gppo'"),
        ("erc", {"low": 1.5}, r"`low` must lie in \[0, 1\]"),
        ("flexible_clipping", {"shape": "DI"}, "Did you mean 'DID'"),
        ("flexible_clipping", {"high_slope": 0.1}, r"`high_slope` must lie in \[-0.5, 0\]"),
        ("flexible_clipping", {"shape": "OD", "fraction": 1.0}, r"`fraction` must lie in \(0, 1\)"),
        ("rpg", {"divergence": "revers"}, "Did you mean 'reverse'"),
        ("rpg", {"coef": -1.0}, "`coef` must be at least 0"),
    ],
)
def test_bad_settings(name: str, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        recipes.build(name, parameters)


def test_two_recipes_that_set_the_ratio_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="both set"):
        recipes.gspo().plus(recipes.ce_gppo())
    assert len(recipes.aent(low=0.1, high=0.2).plus(recipes.gspo()).edits) == 2
    with pytest.raises(ValueError, match="both steer"):
        recipes.aent(low=0.1, high=0.2).plus(recipes.kl_cov())
