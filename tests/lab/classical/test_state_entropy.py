import math

import pytest
import torch

from entrostat.lab import entropy
from entrostat.lab.classical.state_entropy import (
    knn_bonus,
    loss_budget,
    problem,
    robust_value,
    searched_minimum,
    worst_loss,
)


@pytest.mark.parametrize("seed", range(5))
def test_the_adversary_attains_the_formula_and_no_other_gets_below(seed):
    density, rewards = problem(seed)
    settings = {"temperature": 0.7, "budget": 0.3}
    value = float(robust_value(density, rewards, **settings))
    loss = worst_loss(density, rewards, **settings)
    assert float((rewards - loss) @ density) == pytest.approx(value, abs=1e-12)
    assert float(loss_budget(loss, temperature=0.7)) == pytest.approx(0.3, abs=1e-12)
    assert searched_minimum(density, rewards, tries=20_000, seed=seed) >= value - 1e-12
    # As printed in the paper: allowed, with room to spare.
    assert float(loss_budget(0.7 * density.log() + 0.3, temperature=0.7)) < 0.3 - 0.5


def test_both_ends_of_the_temperature():
    density = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    loss = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)
    assert float(loss_budget(loss, temperature=1e-3)) == pytest.approx(1.0, abs=0.01)  # the largest
    assert float(loss_budget(loss, temperature=1e3)) == pytest.approx(float(loss.mean()), abs=0.01)
    gap = float(robust_value(density, torch.zeros(3), temperature=2.0, budget=0.1))
    assert gap == pytest.approx(2.0 * (float(entropy(density)) - math.log(3)) - 0.1)


def test_the_bonus_by_hand():
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [6.0, 8.0]])
    two = knn_bonus(features, neighbours=2, standardise=False)
    assert two.tolist() == pytest.approx([math.log(1 + 7.5), math.log(6), math.log(1 + 7.5), math.log(1 + 7.5)])


def test_copies_and_other_groups_are_no_neighbours():
    features = torch.tensor([[0.0], [0.0], [0.0], [1.0], [1.5]])
    group_ids = torch.tensor([0, 0, 0, 1, 1])
    bonus = knn_bonus(features, group_ids, standardise=False)
    assert bonus.tolist() == pytest.approx([0.0, 0.0, 0.0, math.log(1.5), math.log(1.5)])


def test_standardised_it_has_mean_0_and_deviation_1_and_ignores_order():
    features = torch.randn(12, 3)
    bonus = knn_bonus(features)
    assert float(bonus.mean()) == pytest.approx(0, abs=1e-9)
    assert float(bonus.std()) == pytest.approx(1, abs=1e-6)
    order = torch.randperm(12)
    torch.testing.assert_close(knn_bonus(features[order]), bonus[order])
    assert knn_bonus(torch.zeros(4, 2)).tolist() == [0, 0, 0, 0]


def test_bad_input():
    even = torch.full((4,), 0.25)
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        robust_value(even, even, temperature=0.0, budget=0.1)
    with pytest.raises(ValueError, match="`density` must be positive and sum to 1"):
        worst_loss(torch.tensor([0.0, 1.0]), torch.ones(2), temperature=1.0, budget=0.1)
    with pytest.raises(ValueError, match="`features` must hold at least two rollouts"):
        knn_bonus(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="`features` must be finite"):
        knn_bonus(torch.tensor([[0.0], [math.nan]]))
    with pytest.raises(ValueError, match="`neighbours` must be at least 1"):
        knn_bonus(torch.zeros(3, 1), neighbours=0)
