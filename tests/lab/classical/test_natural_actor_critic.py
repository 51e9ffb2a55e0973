import pytest
import torch

from entrostat.lab.classical.natural_actor_critic import (
    NaturalActorCritic,
    averaging_error,
    exact_gaps,
    natural_direction,
    neural_actor,
    neural_preferences,
    neural_step,
    noisy,
    random_mdp,
    run_natural_actor_critic,
)


def test_the_policy_is_the_softmax_of_the_average_critic():
    assert averaging_error(3, iterations=50) < 1e-11


def test_gaps_of_the_notes():
    # One random MDP of the same kind there: 2.4, 2.6e-4, 2.1e-6 after 1, 10, 100 steps; MDPs differ by small factors.
    gaps = exact_gaps("averaging", 0, iterations=100)
    assert gaps[0] == pytest.approx(2.4, rel=0.3)
    assert 5e-5 < gaps[9] < 2e-3
    assert 4e-7 < gaps[99] < 1e-5
    assert exact_gaps("constant", 0, iterations=21)[-1] < 1e-10


def test_no_probability_falls_below_its_bound():
    mdp = random_mdp(1)
    run = run_natural_actor_critic(mdp, NaturalActorCritic(temperature=0.1), iterations=30)
    greatest = (1 + mdp.discount * 0.1 * torch.tensor(4.0).log()) / (1 - mdp.discount)
    assert run.least_probability > torch.exp(-greatest / 0.1) / 4


def test_the_natural_direction_is_the_least_squares_fit():
    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(20, 5, generator=rng, dtype=torch.float64)
    advantages = torch.randn(20, generator=rng, dtype=torch.float64)
    weights = torch.rand(20, generator=rng, dtype=torch.float64)
    direction = natural_direction(scores, advantages, weights, radius=100.0)
    residual = advantages - scores @ direction
    torch.testing.assert_close(scores.T @ (weights * residual), torch.zeros(5, dtype=torch.float64), atol=1e-9, rtol=0)
    short = natural_direction(scores, advantages, weights, radius=0.1)
    torch.testing.assert_close(short, direction * 0.1 / direction.norm())


def test_decay_alone_leads_back_to_the_start():
    actor = neural_actor(3, width=4, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(12, dtype=torch.float64)
    moved = neural_step(actor, torch.arange(12.0, dtype=torch.float64), rate=0.5, temperature=0.0)
    assert float(neural_preferences(moved, torch.ones(3)).abs()) > 0
    back = neural_step(moved, zero, rate=2.0, temperature=0.5)  # rate * temperature = 1
    torch.testing.assert_close(back.weights, actor.start)


def test_bad_input():
    with pytest.raises(ValueError, match="`temperature` must be positive for averaging"):
        NaturalActorCritic(temperature=0.0)
    with pytest.raises(ValueError, match="`step` must be positive without averaging"):
        NaturalActorCritic(temperature=0.1, averaging=False)
    with pytest.raises(ValueError, match="`step` must be at most 1 / temperature"):
        NaturalActorCritic(temperature=0.1, averaging=False, step=11.0)
    with pytest.raises(ValueError, match="`width` must be even"):
        neural_actor(2, width=3, generator=torch.Generator())


def test_a_noisy_critic_as_in_the_notes():
    # There: averaging 7e-4, constant 1.18, no entropy .22 with probabilities that underflow to 0; another random MDP.
    averaging, least = noisy("averaging", 0, iterations=400)
    assert averaging < 0.03
    assert least > 0
    assert 0.5 < noisy("constant", 0, iterations=400)[0] < 2
    gap, least = noisy("no entropy", 0, iterations=400)
    assert 0.05 < gap < 1
    assert least < 1e-100
