"""Recipes that add a bonus, a weight or a divergence: what each is by its paper, and where it drives the entropy."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from entrostat import Recipe, Regulator, TokenBatch, controllers, measures, recipes, terms
from entrostat.losses import token_mean

from ..hosts import drifted, gradient, per_token, reduced

BONUS: list[Recipe] = [
    recipes.skywork(),
    recipes.entropic(target=0.2),
    recipes.aer(rate=0.1, rho=0.8),
    recipes.adrpo(),
    recipes.siren(),
    recipes.tre(),
]


@pytest.mark.parametrize("recipe", BONUS, ids=lambda recipe: recipe.name)
def test_the_parameters_rebuild_the_recipe(recipe: Recipe) -> None:
    assert recipes.get(recipe.name)(**recipe.parameters) == recipe


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("skywork", {"variant": "verl"}, "unknown variant 'verl'"),
        ("skywork", {"delta": -1.0}, "`delta` must be at least 0"),
        ("entropic", {}, "needs `target`"),
        ("entropic", {"target": 0.1, "tau": 1.0}, r"`tau` must lie in \[0, 1\)"),
        ("entropic", {"target": 0.1, "denominator": "selcted"}, "Did you mean 'selected'"),
        ("aer", {}, "needs `rate`, `rho`"),
        ("aer", {"rate": 0.1, "rho": 0.5, "form": "signed"}, "Did you mean 'sign'"),
        ("aer", {"rate": 0.1, "rho": 0.5, "fraction": 1.5}, "`fraction` must lie in"),
        ("adrpo", {"floor": 0.1}, "`floor` must be at most 0"),
        ("siren", {"quantile": 1.0}, "`quantile` must lie in"),
        ("siren", {"beta": -0.1}, "`beta` must be at least 0"),
        ("siren", {"top_p": 1.2}, "`top_p` must lie in"),
        ("tre", {"keep": 2, "top_p": 0.9}, "exclude each other"),
        ("tre", {"keep": 1}, "`keep` must be at least 2"),
    ],
)
def test_wrong_settings_are_rejected(name: str, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        recipes.build(name, parameters)


# --- a policy small enough to see all of it ----------------------------------------------------


def entropy_of(logits: Tensor) -> Tensor:
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def sampled(logits: Tensor, tokens: Tensor, advantages: Tensor, measure: Any = None, **fields: Any) -> TokenBatch:
    """Return the batch `[B, T]` of a policy with one logit vector per position, on the policy that wrote it."""
    logprobs = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    ones = torch.ones_like(logprobs).detach()
    entropy = entropy_of(logits)
    return TokenBatch(
        **{
            "logprobs": logprobs, "old_logprobs": logprobs.detach(), "advantages": advantages, "mask": ones,
            "entropy": entropy, "clamped_entropy": entropy if measure is None else measure(logits),
            "kept_mass": ones, "clip_low": 0.2 * ones, "clip_high": 0.2 * ones, "vocab": logits.shape[-1], **fields,
        }
    )  # fmt: skip


def loss_of(recipe: Recipe, batch: TokenBatch, coef: float) -> Tensor:
    """Return the host's loss plus the recipe's terms, both averaged over all tokens."""
    term = sum(term(batch, coef) for term in recipe.terms)
    return token_mean(per_token(batch) + term, batch.mask, num_tokens=batch.tokens_of_step())


def peaked(rows: int = 40, length: int = 25, vocab: int = 9, seed: int = 0) -> Tensor:
    """Return logits whose likeliest token has a probability from 0.3 to 0.999."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, length, vocab, generator=generator, dtype=torch.float64)
    logits[..., 0] += torch.linspace(2, 8, length)
    return logits.requires_grad_()


def draw(logits: Tensor, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return tokens drawn from the policy, and an advantage of 1 or -1 for each response."""
    generator = torch.Generator().manual_seed(seed)
    flat = logits.detach().softmax(-1).reshape(-1, logits.shape[-1])
    tokens = torch.multinomial(flat, 1, generator=generator).view(logits.shape[:-1])
    signs = torch.randint(0, 2, (len(logits), 1), generator=generator).double() * 2 - 1
    return tokens, signs.expand(tokens.shape)


def entropy_change(recipe: Recipe, logits: Tensor, batch: TokenBatch, coef: float, size: float = 1.0) -> float:
    """Return how the mean entropy moves in a small step down the loss."""
    slope = torch.autograd.grad(loss_of(recipe, batch, coef), logits, retain_graph=True)[0]
    return float(entropy_of(logits.detach() - size * slope).mean() - entropy_of(logits.detach()).mean())


# --- Skywork-OR1 -------------------------------------------------------------------------------


def test_skywork_follows_either_code() -> None:
    theirs, trl = recipes.skywork(), recipes.skywork(variant="trl")
    assert theirs.controller == controllers.Step(target=0.2, delta=1e-4, ceiling=5e-3)
    assert (theirs.signal, theirs.window) == (terms.Surprisal(old=True), "rollout")
    assert trl.controller == controllers.Step(target=0.2, delta=5e-3, ceiling=1.0, variant="trl")
    assert (trl.signal, trl.window) == (None, "step")
    assert recipes.skywork(variant="trl", delta=0.1, ceiling=2.0).controller.delta == 0.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.sampled_from(["skywork", "trl"]))
def test_skywork_s_bonus_is_zero_whenever_the_entropy_was_above_its_target(path: list[float], variant: Any) -> None:
    recipe = recipes.skywork(variant=variant, delta=0.1, ceiling=0.5, initial=0.2)
    regulator = Regulator(recipe.controller, window=recipe.window)
    for entropy in path:
        regulator.observe(torch.full((1, 2), entropy, dtype=torch.float64), torch.ones(1, 2))
        regulator.close_step()
        regulator.close_rollout()
        assert 0 <= regulator.coefficient <= 0.5
        if entropy > 0.2:
            assert regulator.coefficient == 0


# --- EntroPIC ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [-1.0, -0.4, 0.3])
@pytest.mark.parametrize("denominator", ["all", "selected"])
def test_entropic_multiplies_confident_tokens(alpha: float, denominator: Any) -> None:
    batch = drifted(clip_low=torch.ones(6, 9), clip_high=torch.full((6, 9), 99.0))
    recipe = recipes.entropic(target=0.1, tau=0.4, denominator=denominator)
    term = recipe.terms[0](batch, alpha)
    plain = gradient(reduced(per_token(batch), batch.mask, "tokens"), batch)
    whole = gradient(reduced(per_token(batch) + term, batch.mask, "tokens"), batch)
    counted = batch.mask.bool()
    sure = counted & (batch.logprobs.exp() > 0.4)
    assert 0 < sure.sum() < counted.sum()
    factor = 1.0 if denominator == "all" else float(counted.sum() / sure.sum())
    expected = torch.where(sure, 1 + alpha * factor * batch.advantages.sign(), 1.0) * plain
    torch.testing.assert_close(whole, expected, rtol=1e-6, atol=1e-9)


def test_entropic_s_term_passes_the_clip() -> None:
    # The ratio is e^2, far beyond 1.2: the host's loss is flat there, the term is not.
    logprobs = torch.tensor([[-0.01]], dtype=torch.float64, requires_grad=True)
    one = torch.ones(1, 1, dtype=torch.float64)
    batch = sampled(torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.long), one).replace(
        logprobs=logprobs, old_logprobs=logprobs.detach() - 2
    )
    assert gradient(per_token(batch).sum(), batch) == 0
    torch.testing.assert_close(
        gradient(terms.ConfidentWeight()(batch, 0.3).sum(), batch), torch.tensor([[-0.3 * math.exp(2)]]).double()
    )


@pytest.mark.parametrize("seed", range(5))
def test_entropic_lowers_the_entropy_with_a_positive_coefficient_and_raises_it_with_a_negative_one(seed: int) -> None:
    logits = peaked(seed=seed)
    batch = sampled(logits, *draw(logits, seed))
    recipe = recipes.entropic(target=0.1)
    falls, rests, rises = (entropy_change(recipe, logits, batch, alpha) for alpha in (1.0, 0.0, -1.0))
    assert falls < rests < rises
    assert (rises - rests) == pytest.approx(rests - falls, rel=0.1), "proportional to the coefficient"


def steered(recipe: Recipe, steps: int) -> float:
    """Train a policy whose likeliest token always earns more; return the entropy it settles at, mean of the last 50."""
    logits = torch.zeros(1, 8, 8, dtype=torch.float64)
    logits[..., 0] = 4.5
    advantages = torch.full((1, 8), 0.5, dtype=torch.float64)
    advantages[:, 0] = 1.0
    regulator = Regulator(recipe.controller, window=recipe.window)
    path: list[float] = []
    for _ in range(steps):
        # Every token once, weighed by its probability: the exact expectation, so that the plant has no noise.
        logits.requires_grad_()
        batch = sampled(logits, torch.arange(8).unsqueeze(0), advantages)
        batch = batch.replace(weight=batch.logprobs.detach().exp())
        host = per_token(batch) * batch.weight
        term = recipe.terms[0](batch, regulator.coefficient)
        slope = torch.autograd.grad((host + term).sum(), logits)[0].sum(1, keepdim=True)
        logits = logits.detach() - 3.0 * slope
        regulator.observe(batch.entropy, batch.mask)
        path.append(regulator.close_step() or math.nan)
    return sum(path[-50:]) / 50


def test_entropic_reaches_its_target_by_the_integral_and_misses_it_without() -> None:
    target = 0.3
    proportional = steered(recipes.entropic(target=target, kp=5.0, ki=0.0, tau=0.8), 400)
    integral = steered(recipes.entropic(target=target, kp=5.0, ki=0.5, tau=0.8), 400)
    # At rest (1 + alpha) A_0 = A_other, so alpha = -1/2 and P alone stays alpha / kp = 0.1 nats off.
    assert proportional == pytest.approx(target - 0.1, abs=1e-3)
    assert integral == pytest.approx(target, abs=1e-3)


# --- AER ---------------------------------------------------------------------------------------


def test_aer_is_made_of_its_three_parts() -> None:
    recipe = recipes.aer(rate=0.2, rho=0.8, form="sign", shape="gate")
    assert recipe.needs == {"rewards", "group_ids"}
    assert recipe.terms == (terms.EntropyBonus(),)
    state = recipe.controller.init()
    for entropy in (1.0, 0.39, 0.39, 0.41):
        state = recipe.controller.update(state, entropy=entropy)
    assert recipe.controller.coefficient(state) == pytest.approx(0.2), "two steps up, one down"


def test_aer_pays_hard_prompts_alone() -> None:
    logits = peaked(rows=4)
    rewards, groups = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
    tokens, _ = draw(logits)
    batch = sampled(logits, tokens, torch.zeros_like(tokens).double(), rewards=rewards, group_ids=groups)
    recipe = recipes.aer(rate=0.1, rho=1.0)
    slope = torch.autograd.grad(loss_of(recipe, recipe.rollout_edits[0](batch), 0.3), logits)[0]
    assert slope[:2].any()
    assert not slope[2:].any()


# --- ADRPO -------------------------------------------------------------------------------------


def divergence(batch: TokenBatch) -> Tensor:
    """Return the host's own k3, per token."""
    assert batch.ref_logprobs is not None
    u = batch.ref_logprobs - batch.logprobs
    return (u.exp() - u - 1) * ((batch.logprobs - batch.old_logprobs).exp() if batch.kl_ratio else 1.0)


@pytest.mark.parametrize("kl_ratio", [False, True])
def test_adrpo_s_gradients_are_in_the_proportion_of_the_paper(kl_ratio: bool) -> None:
    beta = 0.04
    slopes: list[Tensor] = []
    for advantage in (-1.0, 0.0, 1.0):
        batch = drifted(kl_coef=beta, kl_ratio=kl_ratio, advantages=torch.full((6, 9), advantage).double())
        batch = batch.replace(ref_logprobs=batch.old_logprobs - 0.3)
        term = recipes.adrpo(floor=-math.inf).terms[0](batch, 1.0)
        slopes.append(gradient(reduced(beta * divergence(batch) + term, batch.mask, "tokens"), batch))
    torch.testing.assert_close(slopes[0], slopes[1] * (beta + 1) / beta)
    torch.testing.assert_close(slopes[2], slopes[1] * (beta - 1) / beta)


def test_adrpo_never_pays_for_divergence_unless_asked() -> None:
    batch = drifted(kl_coef=0.04, drift=1.0)
    batch = batch.replace(ref_logprobs=batch.old_logprobs)
    k = divergence(batch)
    total = 0.04 * k + recipes.adrpo().terms[0](batch, 1.0)
    counted = batch.mask.bool()
    assert (total[counted] >= -1e-12).all()
    assert (total[counted & (batch.advantages > 0.04)].abs() < 1e-12).all(), "a good response is let go"
    free = 0.04 * k + recipes.adrpo(floor=-1.0).terms[0](batch, 1.0)
    assert (free[counted & (batch.advantages > 0.04)] < 0).any()


def test_adrpo_s_scale_and_bounds_keep_the_coefficient_between_zero_and_twice_the_host_s() -> None:
    batch = drifted(kl_coef=0.04)
    batch = batch.replace(ref_logprobs=batch.old_logprobs - 0.3, advantages=9 * batch.advantages)
    k = divergence(batch)
    term = recipes.adrpo(scale=0.04, low=-1.0, high=1.0).terms[0](batch, 1.0)
    beta = (0.04 + term / k)[batch.mask.bool()].detach()
    assert float(beta.max()) == pytest.approx(0.08)
    assert float(beta.min()) == pytest.approx(0.0, abs=1e-12)


def test_adrpo_needs_a_reference() -> None:
    assert recipes.adrpo().needs == {"ref_logprobs"}
    with pytest.raises(ValueError, match="keep a reference model"):
        terms.AdvantageKL()(drifted(), 1.0)


# --- SIREN -------------------------------------------------------------------------------------


def aggregate(batch: TokenBatch, quantile: float = 0.8) -> Tensor:
    """Return the mean over responses of the mean entropy above each one's quantile, with gradient."""
    means: list[Tensor] = []
    for row, mask in zip(batch.clamped_entropy, batch.mask.bool(), strict=True):
        own = row[mask]
        kept = own[own > torch.quantile(own.detach(), quantile)] if len(own) else own
        means.append(kept.mean() if len(kept) else row.new_zeros(()))
    return torch.stack(means).mean()


def test_siren_s_gradient_is_that_of_the_squared_distance_to_the_anchor() -> None:
    logits = peaked(rows=6)
    tokens, _ = draw(logits)
    recipe = recipes.siren(beta=0.7)
    mask = (torch.arange(25) < torch.tensor([[25], [25], [11], [6], [1], [0]])).double()
    batch = sampled(logits, tokens, torch.zeros_like(tokens).double(), recipe.measure, mask=mask)
    anchor = 0.11
    expected = torch.autograd.grad(0.7 * (aggregate(batch) - anchor) ** 2, logits, retain_graph=True)[0]

    regulator = Regulator(recipe.controller, window="fresh")
    assert recipe.signal is not None
    assert regulator.observe_fresh(torch.tensor([anchor], dtype=torch.float64), torch.ones(1)) == anchor
    assert regulator.coefficient == 0, "at the anchor nothing pulls"
    measured = regulator.observe_fresh(*recipe.signal.read(batch))
    assert measured == pytest.approx(aggregate(batch).item())
    assert regulator.coefficient == pytest.approx(2 * 0.7 * (measured - anchor))
    slope = torch.autograd.grad(loss_of(recipe, batch, regulator.coefficient), logits)[0]
    torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("anchor", [0.0, 2.0])
def test_siren_pulls_the_entropy_towards_its_anchor_from_both_sides(anchor: float) -> None:
    logits = peaked(rows=6)
    tokens, _ = draw(logits)
    recipe = recipes.siren(beta=1.0)
    batch = sampled(logits, tokens, torch.zeros_like(tokens).double(), recipe.measure)
    assert recipe.signal is not None
    law = recipe.controller
    state = law.update(law.update(law.init(), entropy=anchor), entropy=aggregate(batch).item())
    slope = torch.autograd.grad(loss_of(recipe, batch, law.coefficient(state)), logits)[0]
    moved = sampled(logits.detach() - slope, tokens, batch.advantages, recipe.measure)
    before, after = aggregate(batch).item(), aggregate(moved).item()
    assert abs(after - anchor) < abs(before - anchor)


def test_siren_s_nucleus_without_its_crossing_token_is_the_code_s() -> None:
    with_it, without = (recipes.siren(crossing=crossing).measure for crossing in (True, False))
    sure, spread = (torch.tensor(p, dtype=torch.float64).log() for p in ([0.85, 0.1, 0.05], [0.5, 0.29, 0.2, 0.01]))
    sure.requires_grad_()
    assert isinstance(without, measures.Nucleus)
    lost = without(sure)
    assert lost == 0
    assert torch.autograd.grad(lost, sure)[0].abs().max() < 1e-12
    assert with_it(sure) == 0, "the one token that crosses"
    two, three = torch.tensor([0.5, 0.29]).double(), torch.tensor([0.5, 0.29, 0.2]).double()
    for measure, kept in ((without, two), (with_it, three)):
        q = kept / kept.sum()
        torch.testing.assert_close(measure(spread), -(q * q.log()).sum())


# --- TRE ---------------------------------------------------------------------------------------


def test_tre_has_the_settings_of_the_authors_scripts() -> None:
    assert recipes.tre().measure == measures.Nucleus(top_p=0.99)
    assert recipes.tre(keep=2).measure == measures.TopK(k=2)
    assert recipes.tre().controller == controllers.Constant(coef=0.001)
    law = controllers.Dual(target=0.2, rate=0.1, initial=0.01)
    assert recipes.tre(top_p=0.9, controller=law).controller is law


@pytest.mark.parametrize(("rescale", "factor"), [(True, math.log(9) / math.log(2)), (False, 1.0)])
def test_tre_pays_for_the_plausible_tokens_alone(rescale: bool, factor: float) -> None:
    logits = peaked(rows=3)
    tokens, _ = draw(logits)
    recipe = recipes.tre(keep=2, rescale=rescale)
    batch = sampled(logits, tokens, torch.zeros_like(tokens).double(), recipe.measure)
    loss = loss_of(recipe, batch, 0.1)
    assert loss.item() == pytest.approx(-0.1 * factor * batch.clamped_entropy.mean().item())
    slope = torch.autograd.grad(loss, logits)[0]
    dropped = torch.ones_like(slope).scatter_(-1, logits.topk(2).indices, 0.0).bool()
    assert not slope[dropped].any()
    assert slope[~dropped].any()


def test_tre_with_a_factor_needs_the_vocabulary() -> None:
    with pytest.raises(ValueError, match="`vocab` must be known"):
        recipes.tre(keep=2).terms[0](drifted(vocab=None), 0.1)
