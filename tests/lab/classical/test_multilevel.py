import math

import pytest
import torch

from entrostat.lab import make_mdp
from entrostat.lab.classical.multilevel import (
    TRUTH,
    Multilevel,
    antithetic_difference,
    blanchet_glynn,
    draw_group_size,
    exact_q,
    log_mean_exp,
    measure,
    plain_bias,
    random_mdp,
    randomised,
)


@pytest.mark.parametrize(("draws", "bias"), [(2, -0.64), (4, -0.32), (16, -0.064)])
def test_the_plain_bias_of_the_notes(draws, bias):
    rng = torch.Generator().manual_seed(1)
    assert plain_bias(draws, repetitions=60_000, rng=rng) == pytest.approx(bias, abs=0.015)


def test_the_randomised_split_has_no_bias_and_the_cost_of_the_notes():
    estimates, cost = randomised(150_000, torch.Generator().manual_seed(1))
    assert float(estimates.mean()) == pytest.approx(TRUTH, abs=3 * 2.4 / math.sqrt(150_000))
    assert cost == pytest.approx(2 * 0.65 / (2 * 0.65 - 1), abs=0.06)  # 4.33; the notes measured 4.35
    assert float(estimates.std()) == pytest.approx(2.35, abs=0.15)


def test_its_expectation_is_exact_when_every_draw_is_listed():
    # Two values, levels 0 and 1: sum over all groups of P(group) D, telescoped by hand.
    values = torch.tensor([0.0, 2.0], dtype=torch.float64)
    pairs = values[torch.cartesian_prod(*[torch.arange(2)] * 2)]
    fours = values[torch.cartesian_prod(*[torch.arange(2)] * 4)]
    telescoped = values.mean() + antithetic_difference(pairs).mean() + antithetic_difference(fours).mean()
    torch.testing.assert_close(telescoped, log_mean_exp(fours).mean())


def test_group_sizes_follow_the_geometric_law():
    sizes = draw_group_size((200_000,), success=0.6, generator=torch.Generator().manual_seed(0))
    for level in range(4):
        assert float((sizes == 2 ** (level + 1)).double().mean()) == pytest.approx(0.6 * 0.4**level, abs=0.005)


def test_the_weight_of_a_level_is_one_over_its_probability():
    values = torch.tensor([1.0, 0.0, 0.0, 2.0], dtype=torch.float64)
    expected = 1.0 + float(antithetic_difference(values)) / (0.6 * 0.4)
    assert float(blanchet_glynn(values, success=0.6)) == pytest.approx(expected)


@pytest.mark.parametrize(("levels", "rmse", "calls"), [(2, 0.162, 22), (3, 0.074, 167), (4, 0.039, 1258)])
def test_nested_differences_as_in_the_notes(levels, rmse, calls):
    # The notes drew another random MDP of the same kind: their errors are matched within a third.
    error, _, made = measure(random_mdp(0), Multilevel(levels=levels), repetitions=800, seed=levels)
    assert made == calls
    assert error == pytest.approx(rmse, rel=0.33)


def test_the_fixed_point_is_the_one_it_is_compared_with():
    mdp = random_mdp(3)
    q = torch.zeros(mdp.states, mdp.actions, dtype=torch.float64)
    for _ in range(200):
        q = mdp.rewards + mdp.discount * mdp.ahead(log_mean_exp(q))
    assert exact_q(mdp) == pytest.approx(float(q[0, 0]), abs=1e-10)
    assert exact_q(random_mdp(3, copies=3)) == pytest.approx(float(q[0, 0]), abs=1e-10)


def test_the_unbiased_operator_leaves_the_truncation_error_only():
    # Two levels give the second Bellman iterate, which the discount keeps away from the fixed point.
    mdp = random_mdp(0)
    q = torch.zeros(mdp.states, mdp.actions, dtype=torch.float64)
    for _ in range(2):
        q = mdp.rewards + mdp.discount * mdp.ahead(log_mean_exp(q))
    pairs = torch.zeros(20_000, dtype=torch.long)
    rng = torch.Generator().manual_seed(0)
    values = Multilevel(levels=2, draws=None).estimate(mdp, pairs, pairs, generator=rng).values
    assert float(values.mean()) == pytest.approx(float(q[0, 0]), abs=4 * float(values.std()) / math.sqrt(20_000))


def test_bad_input():
    with pytest.raises(ValueError, match="`values` must hold a power of two"):
        blanchet_glynn(torch.zeros(3))
    with pytest.raises(ValueError, match="`success` must lie strictly between"):
        draw_group_size((1,), success=0.8, generator=torch.Generator())
    with pytest.raises(ValueError, match="`values` must have an even number"):
        antithetic_difference(torch.zeros(1))
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        Multilevel(levels=1, temperature=0.0)
    ends = make_mdp(rewards=torch.zeros(1, 2), successors=torch.tensor([[-1, 0]]))
    with pytest.raises(ValueError, match="`mdp` must go on forever"):
        Multilevel(levels=1).estimate(
            ends, torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long), generator=torch.Generator()
        )
