import math

import pytest
import torch

from entrostat.lab.classical.implicit_q import distance, implicit_q_iteration, implicit_q_loss, loss_at_the_fixed_point
from entrostat.lab.classical.natural_actor_critic import random_mdp


@pytest.mark.parametrize("munchausen", [0.0, 0.9])
def test_the_fixed_point_of_the_notes(munchausen):
    assert distance(munchausen, seed=2) < 1e-12  # 3e-14 in the notes, at tau .1 and alpha .9
    assert loss_at_the_fixed_point(munchausen, seed=2) < 1e-20


def test_the_log_policy_is_the_advantage_of_the_last_target():
    found = implicit_q_iteration(random_mdp(0), temperature=0.1, munchausen=0.5, iterations=3)
    torch.testing.assert_close(found.logprobs.logsumexp(-1), torch.zeros(8, dtype=torch.float64), atol=1e-12, rtol=0)


def tokens(**changes):
    values = {
        "logprobs": torch.tensor([[-1.0, -2.0, -9.0]], dtype=torch.float64, requires_grad=True),
        "old_logprobs": torch.tensor([[-1.5, -50.0, math.nan]], dtype=torch.float64),
        "values": torch.tensor([[0.3, 0.2, 0.1]], dtype=torch.float64, requires_grad=True),
        "next_values": torch.tensor([[0.2, 0.0, 7.0]], dtype=torch.float64),
        "rewards": torch.tensor([[0.0, 1.0, 7.0]], dtype=torch.float64),
        "mask": torch.tensor([[1, 1, 0]]),
    }
    return {**values, **changes}


def test_the_loss_by_hand():
    loss = implicit_q_loss(**tokens(), temperature=0.1, munchausen=0.9, discount=0.5, floor=-1.0)
    first = 0.9 * 0.1 * -1.5 + 0.5 * 0.2 + 0.1 * 1.0 - 0.3
    second = 1.0 + 0.9 * -1.0 + 0.1 * 2.0 - 0.2  # tau log pi_old = -5, held at -1
    assert loss.tolist() == [pytest.approx([first**2, second**2, 0.0])]


def test_gradients_reach_the_policy_and_the_value_but_not_the_targets():
    given = tokens(next_values=torch.zeros(1, 3, dtype=torch.float64, requires_grad=True))
    loss = implicit_q_loss(**given, temperature=0.1, munchausen=0.9)
    loss.sum().backward()
    assert given["next_values"].grad is None
    assert given["logprobs"].grad[0, :2].abs().min() > 0
    assert given["logprobs"].grad[0, 2] == 0
    assert given["values"].grad[0, 2] == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"`munchausen` must lie in \[0, 1\)"):
        implicit_q_iteration(random_mdp(0), temperature=0.1, munchausen=1.0)
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        implicit_q_loss(**tokens(), temperature=0.0, munchausen=0.5)
    with pytest.raises(ValueError, match="`values` must have the shape of `logprobs`"):
        implicit_q_loss(**tokens(values=torch.zeros(1, 2)), temperature=0.1, munchausen=0.5)
