import itertools
import math

import pytest
import torch

from entrostat.lab import dense_mdp, entropy, value_iteration
from entrostat.lab.classical.max_entropy_exploration import (
    best_deterministic,
    best_policy,
    equivalent_policy,
    exploration_reward,
    frank_wolfe,
    largest_entropy,
    line_world,
    statewise_average,
    visits,
)

MDP = line_world(11)


def test_the_largest_entropy_of_the_notes():
    best, slack = largest_entropy(MDP)
    assert best == pytest.approx(2.3974, abs=2e-4)
    assert slack < 1e-4
    assert best < math.log(11)


def test_simple_policies_of_the_notes():
    assert best_deterministic(MDP) == pytest.approx(1.572, abs=5e-4)
    assert float(entropy(visits(MDP, torch.full((11, 2), 0.5)))) == pytest.approx(2.210, abs=5e-4)


@pytest.mark.parametrize(("eta", "gap"), [(0.2, 0.071), (0.1, 0.015)])
def test_gaps_of_the_notes(eta, gap):
    mixture = frank_wolfe(MDP, rounds=int(8 / eta), step=eta)
    assert 2.3974 - float(entropy(mixture.density)) == pytest.approx(gap, rel=0.35)


def test_three_readings_of_a_mixture():
    mixture = frank_wolfe(MDP, rounds=400, step=lambda t: 2 / (t + 2), smoothing=0.001)
    torch.testing.assert_close(mixture.density, mixture.history[-1])
    torch.testing.assert_close(visits(MDP, equivalent_policy(mixture)), mixture.density)
    averaged = float(entropy(visits(MDP, statewise_average(mixture))))
    assert averaged == pytest.approx(2.358, abs=0.005)
    assert averaged < float(entropy(mixture.density)) - 0.01


def test_the_reward_is_the_gradient_of_the_smoothed_entropy():
    density = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(-(density * (density + 0.05).log()).sum(), density)
    torch.testing.assert_close(exploration_reward(density.detach(), smoothing=0.05), gradient)


def test_policy_iteration_agrees_with_value_iteration():
    rng = torch.Generator().manual_seed(0)
    transitions = torch.rand(6, 3, 6, generator=rng, dtype=torch.float64).square()
    rewards = torch.randn(6, generator=rng, dtype=torch.float64)
    mdp = dense_mdp(
        rewards=rewards.unsqueeze(-1).expand(6, 3),
        transitions=transitions / transitions.sum(-1, keepdim=True),
        discount=0.9,
    )
    start = torch.zeros(6, 3, dtype=torch.float64)
    start[:, 0] = 1
    torch.testing.assert_close(best_policy(mdp, rewards, start=start), value_iteration(mdp).policy)


def test_bad_input():
    with pytest.raises(ValueError, match="`rounds` must be at least 1"):
        frank_wolfe(MDP, rounds=0, step=0.1)
    with pytest.raises(ValueError, match=r"`step` must lie in \(0, 1\]"):
        frank_wolfe(MDP, rounds=2, step=0.0)
    with pytest.raises(ValueError, match="`smoothing` must be positive"):
        exploration_reward(torch.ones(2) / 2, smoothing=0.0)
    with pytest.raises(ValueError, match="`density` must be at least 0"):
        exploration_reward(torch.tensor([-0.1, 1.1]))
    with pytest.raises(ValueError, match="`states` must be at least 2"):
        line_world(1)


def test_a_constant_step_loses_single_rounds_as_in_the_notes():
    found = [float(entropy(density)) for density in frank_wolfe(MDP, rounds=40, step=0.2).history]
    drops = [before - after for before, after in itertools.pairwise(found[5:])]
    assert 0.01 < max(drops) < 0.06  # .04 in the notes
    authors = frank_wolfe(MDP, rounds=400, step=lambda t: 2 / (t + 2), reward=lambda d: 1 / (d + 11**-0.5))
    assert 2.3974 - float(entropy(authors.density)) < 1.5e-4
