import math

import pytest
import torch

from entrostat.lab import entropy, softmax, value_iteration
from entrostat.lab.classical.dispatching import JobShop, dispatching_mdp, random_data, random_job_shop
from entrostat.lab.classical.offline_ld import (
    actor_loss,
    conservative_penalty,
    dual_ascent,
    masked_target,
    temperature_loss,
)
from entrostat.measures import normalized


@pytest.mark.parametrize("allowed", [1, 2, 5])
def test_an_unreachable_target_runs_to_the_clip_as_in_the_notes(allowed):
    q = torch.randn(allowed, generator=torch.Generator().manual_seed(allowed), dtype=torch.float64)
    assert dual_ascent(q, 0.98 * math.log(20), steps=1700)[-1] == pytest.approx(4.9e8, rel=0.02)


def test_one_allowed_action_leaves_the_temperature_alone():
    assert set(dual_ascent(torch.zeros(1), float(masked_target(torch.tensor(1))), steps=50)) == {1.0}
    log_coef = torch.tensor(0.3, requires_grad=True)
    one = torch.ones(4, dtype=torch.long)
    temperature_loss(log_coef, torch.zeros(4), torch.full((4,), 2.9), one).backward()
    assert float(log_coef.grad) == 0


def test_the_gradient_of_the_temperature_is_the_gap_where_there_is_a_choice():
    log_coef = torch.tensor(0.3, requires_grad=True)
    allowed = torch.tensor([1, 2, 20])
    temperature_loss(log_coef, torch.tensor([0.0, 0.1, 1.0]), masked_target(allowed), allowed).backward()
    gaps = [0.1 - 0.98 * math.log(2), 1.0 - 0.98 * math.log(20)]
    assert float(log_coef.grad) == pytest.approx(sum(gaps) / 2)


def test_forbidden_actions_enter_nothing():
    mask = torch.tensor([[True, True, False]])
    logits = torch.tensor([[0.3, -0.2, 50.0]], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([[1.0, 2.0, 99.0]], dtype=torch.float64, requires_grad=True)
    loss = actor_loss(logits, q, mask, coef=0.5).sum() + conservative_penalty(q, torch.tensor([1]), mask).sum()
    loss.backward()
    assert logits.grad[0, 2] == 0
    assert q.grad[0, 2] == 0
    p = softmax(torch.tensor([0.3, -0.2], dtype=torch.float64))
    by_hand = float((p * (0.5 * p.log() - torch.tensor([1.0, 2.0]))).sum()) + math.log(math.e + math.e**2) - 2.0
    assert loss.detach().item() == pytest.approx(by_hand)


def test_the_actor_loss_is_least_at_the_softmax():
    q = torch.tensor([1.0, 0.2, -0.3], dtype=torch.float64)
    logits = (q / 0.4).requires_grad_()
    actor_loss(logits, q, torch.ones(3, dtype=torch.bool), coef=0.4).backward()
    assert float(logits.grad.abs().max()) < 1e-12


def test_a_shop_whose_best_schedule_is_known():
    # Two jobs on two machines, routes crossed: both first operations run at once; 2 + 3 and 3 + 2 fit into 5.
    shop = JobShop(machines=((0, 1), (1, 0)), durations=((3, 2), (3, 2)))
    mdp = dispatching_mdp(shop)
    assert float(mdp.start @ value_iteration(mdp).values) == -5.0
    one = JobShop(machines=((0,), (0,), (0,)), durations=((2,), (3,), (4,)))
    assert float(dispatching_mdp(one).rewards[0].sum()) == -9.0
    assert float(value_iteration(dispatching_mdp(one)).values[0]) == -9.0


def test_every_schedule_pays_its_makespan():
    mdp = dispatching_mdp(random_job_shop(3, 2, seed=1))
    data = random_data(mdp, schedules=20, best=1.0, seed=0)
    returns, total = [], 0.0
    for reward, after in zip(data.rewards.tolist(), data.after.tolist(), strict=True):
        total += reward
        if after < 0:
            returns.append(total)
            total = 0.0
    assert len(returns) == 20
    best = float(mdp.start @ value_iteration(mdp).values)
    assert max(returns) <= best
    assert bool(mdp.mask[data.states, data.actions].all())


def test_bad_input():
    with pytest.raises(ValueError, match=r"`ratio` must lie in \(0, 1\]"):
        masked_target(torch.tensor([2]), ratio=0.0)
    with pytest.raises(ValueError, match="`allowed` must be at least 1 everywhere"):
        masked_target(torch.tensor([2, 0]))
    with pytest.raises(ValueError, match="`taken` must be allowed by `mask`"):
        conservative_penalty(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([[True, False]]))
    with pytest.raises(ValueError, match="`coef` must be at least 0"):
        actor_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), coef=-1.0)
    with pytest.raises(ValueError, match="mask"):
        actor_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool), coef=1.0)
    with pytest.raises(ValueError, match="`machines` must hold at least two jobs"):
        JobShop(machines=((0,),), durations=((1,),))
    with pytest.raises(ValueError, match="`durations` must be positive"):
        JobShop(machines=((0,), (0,)), durations=((1,), (0,)))


def test_a_masked_uniform_policy_has_entropy_log_n_and_normalised_entropy_lies_in_0_1():
    allowed = torch.arange(20) < torch.tensor([[2], [5], [20]])
    logits = torch.zeros(3, 20)
    assert entropy(softmax(logits, allowed)).tolist() == pytest.approx([math.log(n) for n in (2, 5, 20)])
    assert normalized(logits, allowed=allowed)[1:].tolist() == pytest.approx([1.0, 1.0])
    drawn = normalized(3 * torch.randn(50, 20), allowed=allowed[2:].expand(50, -1))
    assert bool(((drawn >= 0) & (drawn <= 1)).all())
