"""The toy: its arithmetic against autograd and against columns of single tokens; its claim in quick mode."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from entrostat.lab import get, run_claim
from entrostat.lab.theory import toy as toys
from entrostat.lab.theory.toy import METHODS, Method, Toy, run_toy, run_toys
from entrostat.lab.theory.toy_figure import ENTROPY_HELPS, FOUND, OPTIMAL, margin, sized
from entrostat.measures import clamped, shannon

SMALL = Toy(actions=300, optimal=3, prompts=6, levels=12, steps=40, samples=3, peak=1.5, trap=0.2, refresh=1, rate=0.2)


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def expanded(problem: toys._Problem) -> toys._Problem:
    """Return the same problem with a column for every token; an empty trap column stays."""
    single = problem.paying.shape[1]
    rows = [
        torch.cat([prior[:single], prior[single:].repeat_interleave(count[single:].long())])
        for prior, count in zip(problem.prior, problem.tokens, strict=True)
    ]
    width = max(map(len, rows))
    prior = torch.stack([torch.nn.functional.pad(row, (0, width - len(row)), value=-99) for row in rows])
    count = torch.stack([(torch.arange(width) < len(row)).float() for row in rows])
    count[:, :single] = problem.tokens[:, :single]
    return problem._replace(prior=prior, tokens=count)


@pytest.mark.parametrize("samples", [0, 3])
@pytest.mark.parametrize("method", ["none", "entropy"])
def test_levels_of_equal_tokens_are_exact(method: Method, samples: int) -> None:
    toy = replace(SMALL, samples=samples)
    problem = toys.toy_problem(toy, rng(1))
    assert problem.tokens.sum(-1).tolist() == [300.0] * 6
    lumped = toys._train(toy, method, problem, None, [rng(2)])
    single = toys._train(toy, method, expanded(problem), None, [rng(2)])
    for a, b in zip(lumped, single, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_one_column_per_token_is_the_finest_law() -> None:
    # So many levels that each holds few ranks: the two layouts differ by the rounding of the law only.
    fine = run_toy(replace(SMALL, levels=3000, samples=0), "entropy", 5)
    dense = run_toy(replace(SMALL, levels=0, samples=0), "entropy", 5)
    torch.testing.assert_close(fine.ranks, dense.ranks)
    torch.testing.assert_close(fine.entropy, dense.entropy, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_is_that_of_the_library(method: Method) -> None:
    # One Adam step from rest moves by rate * sign(gradient): compare signs with autograd on the library's measures.
    toy = replace(SMALL, levels=0, samples=0, steps=1, clamp=0.5)
    problem = toys.toy_problem(toy, rng(3))
    leaf = problem.prior.double().requires_grad_()
    reward = (leaf.softmax(-1).gather(-1, problem.paying) * problem.pay).sum()
    bonus: Tensor | float = 0.0
    if method == "entropy":
        bonus = shannon(leaf).sum()
    if method == "clamped":
        bonus = clamped(leaf, clamp=0.5).sum()
    expected = torch.autograd.grad(reward + toy.coef * bonus, leaf)[0]

    seen: list[Tensor] = []
    original = toys._Adam.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            toys._Adam, "step", lambda self, z, ascent: (seen.append(ascent.clone()), original(self, z, ascent))
        )
        toys._train(toy, method, problem, None, [rng(4)])
    torch.testing.assert_close(seen[0].double(), expected, rtol=1e-3, atol=1e-7)


def test_sampled_rewards_average_to_the_exact_gradient() -> None:
    toy = replace(SMALL, samples=20_000)
    problem = toys.toy_problem(toy, rng(6))
    p = torch.full(problem.paying.shape, 0.1)
    drawn = toys._weights(toy, problem, p, [rng(7)])
    torch.testing.assert_close(drawn, p * problem.pay, atol=0.01, rtol=0)


def test_shared_features_move_all_prompts() -> None:
    toy = replace(SMALL, levels=0, features=4, samples=0)
    curve = run_toy(toy, "none", 0)
    assert float(curve.reward[-1]) > float(curve.reward[0])


def test_the_same_seed_gives_every_method_the_same_problem() -> None:
    curves = [run_toy(SMALL, method, 9) for method in METHODS]
    assert all(bool((curve.ranks == curves[0].ranks).all()) for curve in curves)
    assert len({float(curve.reward[0]) for curve in curves}) == 1
    torch.testing.assert_close(run_toy(SMALL, "clamped", 9).reward, curves[2].reward)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"actions": 1}, "`actions` must be at least 2"),
        ({"optimal": 0}, "`optimal` must be at least 1"),
        ({"optimal": 300}, "below the number of actions"),
        ({"coef": 0.0}, "`coef` must be positive"),
        ({"clamp": 1.0}, "lie in \\[0, 1\\)"),
        ({"rate": -1.0}, "`rate` must be positive"),
        ({"trap": 1.0}, "`trap` must lie"),
        ({"features": 3}, "share features"),
    ],
)
def test_bad_settings_are_explained(change: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(SMALL, **change)  # pyright: ignore


def test_margin_is_the_weakest_part() -> None:
    perfect = {
        (optimal, method): {"none": 0.2, "entropy": 0.3 if ENTROPY_HELPS[optimal] else 0.2, "clamped": 0.6}[method]
        for optimal in OPTIMAL
        for method in METHODS
    }
    assert margin(perfect) == pytest.approx(0.02)  # entropy no better than none, within half a prompt
    assert margin(perfect | {(1, "entropy"): 0.5}) == pytest.approx(-0.28)
    assert margin(perfect | {(15, "clamped"): 0.3}) == pytest.approx(-0.02)


@pytest.mark.parametrize("change", [{}, {"levels": 0}, {"levels": 0, "features": 4}])
def test_training_seeds_side_by_side_changes_nothing(change: dict[str, int]) -> None:
    toy = replace(SMALL, steps=15, **change)  # pyright: ignore
    for together, alone in zip(
        run_toys(toy, "clamped", [4, 8]), (run_toy(toy, "clamped", s) for s in (4, 8)), strict=True
    ):
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a, b)


def test_the_ordering_of_the_figure_appears_on_unseen_seeds() -> None:
    outcome = run_claim(get("toy_figure"), quick=True).outcome
    assert outcome.verdict == "holds", dict(outcome.figures)
    assert not set(outcome.seeds) & {0, 1, 2, 3, 4}  # those of the search
    assert [plot.title for plot in outcome.plots][:2] == ["15 right of 100000", "10 right of 100000"]


def test_another_size_keeps_the_bias_at_the_optimum() -> None:
    def kept(toy: Toy, actions: float, right: int) -> float:
        return right / (right + (actions - right) * math.exp(-1 / toy.coef))

    for size in (30_000, 200_000):
        assert kept(sized(size), size, 5) == pytest.approx(kept(FOUND, 1e5, 5), rel=1e-3)


@pytest.mark.parametrize(("shared", "moves"), [(False, [0.2, -0.2, 0.2]), (True, [0.2, -0.1, 0.002])])
def test_the_first_step_of_adam_by_scale(shared: bool, moves: list[float]) -> None:
    logits = torch.zeros(1, 3)
    toys._Adam(replace(SMALL, shared_scale=shared), logits, None).step(logits, torch.tensor([[1.0, -0.5, 0.01]]))
    torch.testing.assert_close(logits, torch.tensor([moves]))
