import math

import pytest
import torch

from entrostat.lab.classical.mega import (
    RarePrompts,
    explore,
    goal_probabilities,
    kernel_density,
    moved_cutoff,
    omega_weight,
)


def test_a_kernel_density_integrates_to_one():
    buffer = torch.tensor([[0.0], [1.0], [1.0], [7.0]])
    grid = torch.linspace(-30, 40, 70_001, dtype=torch.float64).unsqueeze(-1)
    mass = kernel_density(grid, buffer, bandwidth=0.3).exp().sum() * 0.001
    assert float(mass) == pytest.approx(1.0, abs=1e-6)


def test_weights_stand_for_repetitions():
    buffer, points = torch.randn(4, 2), torch.randn(6, 2)
    counts = torch.tensor([1, 3, 0, 2])
    repeated = kernel_density(points, buffer.repeat_interleave(counts, dim=0))
    torch.testing.assert_close(kernel_density(points, buffer, weights=counts), repeated)


def test_the_three_rules_by_hand():
    log_density = torch.tensor([0.5, 0.25, 0.25, 0.125], dtype=torch.float64).log()
    achievable = torch.tensor([True, True, True, False])
    assert goal_probabilities(log_density, achievable).tolist() == [0, 0.5, 0.5, 0]
    diverse = goal_probabilities(log_density, achievable, rule="diverse").tolist()
    assert diverse == pytest.approx([2 / 10, 4 / 10, 4 / 10, 0])
    achieved = goal_probabilities(log_density, achievable, rule="achieved").tolist()
    assert achieved == pytest.approx([0.5, 0.25, 0.25, 0])


@pytest.mark.parametrize(("divergence", "weight"), [(0.0, 1.0), (4.0, 1.0), (5.0, 0.5), (13.0, 0.1)])
def test_omega(divergence, weight):
    assert omega_weight(divergence) == pytest.approx(weight)


def test_the_cutoff_moves_against_success():
    assert moved_cutoff(-3.0, 0.7, step=1.0) == -4.0
    assert moved_cutoff(-3.0, 0.3, step=1.0) == -2.0
    assert moved_cutoff(-3.0, 0.5, step=1.0) == -3.0


@pytest.mark.parametrize(
    ("goals", "entropy", "cells"),
    [("mega", 5.34, 225), ("diverse", 5.26, 225), ("achieved", 4.54, 200), ("far corner", 3.69, 120)],
)
def test_coverage_of_the_notes(goals, entropy, cells):
    # After 100 episodes, over ten seeds in the notes; cells after 400 there, so here only a bound.
    walks = [explore(goals, seed, episodes=100) for seed in range(2)]
    assert sum(w.entropies[-1] for w in walks) / 2 == pytest.approx(entropy, abs=0.25)
    assert all(w.covered <= 225 for w in walks)
    assert max(w.covered for w in walks) >= cells - 80


EMBEDDINGS = torch.tensor([[0.0], [0.05], [3.0], [9.0]])
SOLVED, TRIED = torch.tensor([9, 9, 1, 0]), torch.tensor([9, 9, 10, 9])


def test_rare_but_solved_prompts_are_drawn():
    assert RarePrompts(bias=None).probabilities(SOLVED, TRIED, EMBEDDINGS).tolist() == [0, 0, 1, 0]
    # Above the cutoff only the two common ones are left; the rarer of them is drawn.
    kept = RarePrompts(bias=None, cutoff=0.5).probabilities(SOLVED, TRIED, EMBEDDINGS)
    assert kept[2:].tolist() == [0, 0]
    assert float(kept.sum()) == pytest.approx(1)


def test_it_mixes_towards_what_is_wanted():
    wanted = torch.tensor([0.4, 0.5, 0.1, 0.0])
    mixed = RarePrompts(bias=-3.0).probabilities(SOLVED, TRIED, EMBEDDINGS, wanted)
    torch.testing.assert_close(mixed, wanted.double(), atol=1e-6, rtol=0)  # already in reach: KL below 4
    far = torch.tensor([0.0, 0.0, 0.0, 1.0])
    drawn = RarePrompts(bias=-3.0).probabilities(SOLVED, TRIED, EMBEDDINGS, far)
    assert 0 < float(drawn[3]) < 0.5 < float(drawn[2])


def test_before_any_success_it_draws_what_is_wanted():
    nothing = torch.zeros(4, dtype=torch.long)
    assert RarePrompts().probabilities(nothing, TRIED, EMBEDDINGS).tolist() == [0.25] * 4


def test_bad_input():
    with pytest.raises(ValueError, match=r"`achievable` must hold at least one candidate.*Lower the cutoff"):
        goal_probabilities(torch.zeros(2), torch.zeros(2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"unknown rule .* Known: achieved, diverse, mega"):
        RarePrompts(rule="rare")
    with pytest.raises(ValueError, match="`solved` must be at most `tried`"):
        RarePrompts().probabilities(TRIED + 1, TRIED, EMBEDDINGS)
    with pytest.raises(ValueError, match="`bandwidth` must be positive"):
        kernel_density(EMBEDDINGS, EMBEDDINGS, bandwidth=0.0)
    with pytest.raises(ValueError, match="`divergence` must be at least 0"):
        omega_weight(-math.inf)
