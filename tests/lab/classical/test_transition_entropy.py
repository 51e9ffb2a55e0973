import math

import pytest
import torch

from entrostat.lab import entropy, softmax
from entrostat.lab.classical.transition_entropy import (
    REWARDS,
    action_optimum,
    decomposition_error,
    outcome_bonus,
    outcome_entropy,
    outcomes_of,
    redundancy,
    transition_entropy,
    transition_optimum,
)

GROUP = torch.tensor([0, 0, 0, 0, 1, 1])
OUTCOMES = torch.tensor([7, 7, 7, 5, 7, 7])


def test_the_numbers_of_the_notes():
    leads = outcomes_of((8, 1, 1))
    uniform = torch.full((10,), 0.1, dtype=torch.float64)
    assert float(transition_entropy(uniform, leads).total) == pytest.approx(0.639, abs=5e-4)
    torch.testing.assert_close(action_optimum(leads), torch.tensor([0.44, 0.15, 0.41]).double(), atol=0.005, rtol=0)
    reached = transition_optimum(leads, steps=1000)
    torch.testing.assert_close(reached, torch.tensor([0.09, 0.245, 0.665]).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(reached, softmax(REWARDS / 0.5), atol=1e-6, rtol=0)


def test_the_chain_rule():
    assert max(decomposition_error(seed) for seed in range(50)) < 1e-14


def test_the_parts_by_definition():
    policy = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    transitions = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]], dtype=torch.float64)
    parts = transition_entropy(policy, transitions)
    following = policy @ transitions
    posterior = policy[:, None] * transitions / following
    torch.testing.assert_close(parts.total, entropy(following))
    torch.testing.assert_close(parts.redundancy, (following * entropy(posterior.T)).sum())
    torch.testing.assert_close(parts.model, (policy * entropy(transitions)).sum())


def test_its_score_function_gradient_is_the_gradient_of_the_entropy():
    logits = torch.randn(10, dtype=torch.float64, requires_grad=True)
    leads = outcomes_of((5, 3, 2))
    policy = softmax(logits)
    (exact,) = torch.autograd.grad(transition_entropy(policy, leads).total, logits, retain_graph=True)
    reward = -(leads @ (policy @ leads).log()).detach()
    (score,) = torch.autograd.grad((policy.detach() * reward * policy.log()).sum(), logits)
    torch.testing.assert_close(score, exact)


def test_the_bonus_by_hand():
    # Group 0: three of 7, one of 5, two outcomes: log((3 + 2) / (2 + 1)) and log(5 / 1). Group 1 agrees: log(2 / 2).
    expected = [math.log(5 / 3)] * 3 + [math.log(5), 0.0, 0.0]
    assert outcome_bonus(OUTCOMES, GROUP).tolist() == pytest.approx(expected)
    # (4 - 1 + 2 s) / (others + s)
    assert outcome_bonus(OUTCOMES, GROUP, smoothing=0.5).tolist()[:4] == pytest.approx(
        [math.log(4 / 2.5)] * 3 + [math.log(8)]
    )


def test_renaming_outcomes_or_shuffling_rollouts_changes_nothing():
    order = torch.randperm(6)
    torch.testing.assert_close(outcome_bonus(3 - OUTCOMES, GROUP), outcome_bonus(OUTCOMES, GROUP))
    torch.testing.assert_close(outcome_bonus(OUTCOMES[order], GROUP[order]), outcome_bonus(OUTCOMES, GROUP)[order])


def test_entropy_and_redundancy_by_hand():
    first = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(outcome_entropy(OUTCOMES, GROUP)) == pytest.approx(4 / 6 * first)
    logprobs = torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0])
    assert float(redundancy(logprobs, OUTCOMES, GROUP)) == pytest.approx(3.5 - 4 / 6 * first)


def test_bad_input():
    with pytest.raises(TypeError, match="`outcomes` must hold whole numbers"):
        outcome_bonus(OUTCOMES.float(), GROUP)
    with pytest.raises(ValueError, match="`group_ids` must have the shape"):
        outcome_bonus(OUTCOMES, GROUP[:3])
    with pytest.raises(ValueError, match="`smoothing` must be positive"):
        outcome_bonus(OUTCOMES, GROUP, smoothing=0.0)
    with pytest.raises(ValueError, match="`transitions` must have shape"):
        transition_entropy(torch.ones(3), torch.ones(2, 4))
