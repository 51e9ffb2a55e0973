import math

import pytest
import torch

from entrostat.lab import END, get, make_mdp, occupancy, soft_value_iteration
from entrostat.lab.classical.decoupled import (
    box_entropy_range,
    decoupled_temperature,
    escape_grid,
    escape_length,
    grouped_policy,
    left_probability,
    soft_length,
    two_branches,
    waiting_room,
)
from entrostat.measures import normalized

# Steps of the soft optimum at temperature 0.4 on a grid of side 4, from the notes on the authors' toy.
PLAIN = {2: 6.7, 3: 11.3, 4: 17.6, 5: 29.2, 6: 117.2}
DECOUPLED = {2: 6.2, 3: 9.2, 4: 12.1, 5: 15.1, 6: 18.1}


@pytest.mark.parametrize("dimensions", range(2, 7))
def test_escape_lengths(dimensions):
    assert round(escape_length(dimensions, decoupled=False), 1) == pytest.approx(PLAIN[dimensions], abs=0.051)
    assert round(escape_length(dimensions, decoupled=True), 1) == pytest.approx(DECOUPLED[dimensions], abs=0.051)


def test_cells_up_to_a_permutation_of_axes_are_the_full_grid():
    side = 4
    cells = [(i, j) for i in range(side) for j in range(side)][:-1]
    number = {cell: index for index, cell in enumerate(cells)}
    moves = [(1, 0), (-1, 0), (0, 1), (0, -1)]

    def after(cell, move):
        return tuple(min(max(c + m, 0), side - 1) for c, m in zip(cell, move, strict=True))

    successors = torch.tensor([[number.get(after(c, m), END) for m in moves] for c in cells])
    start = torch.zeros(len(cells))
    start[0] = 1
    full = make_mdp(rewards=torch.full((len(cells), 4), -1.0), successors=successors, start=start)
    lumped = escape_grid(2)
    lengths = [float(occupancy(m, soft_value_iteration(m, coef=0.4).policy).sum()) for m in (full, lumped)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-9)


@pytest.mark.parametrize(("actions", "temperature"), [(4, 0.2), (16, 0.2), (64, 0.2), (16, 0.3)])
def test_below_the_threshold_the_length_has_a_closed_form(actions, temperature):
    # v = tau log(e^{-c/tau} + (n-1) e^{(v-c)/tau}), so e^{v/tau} = x / (1 - (n-1) x) with x = e^{-c/tau}, and the
    # probability to leave is x e^{-v/tau} = 1 - (n-1) x.
    leave = 1 - (actions - 1) * math.exp(-1 / temperature)
    assert soft_length(temperature, actions=actions, decoupled=False) == pytest.approx(1 / leave, rel=1e-6)


def test_at_the_threshold_episodes_become_endless():
    assert math.isinf(soft_length(1 / math.log(63), actions=64, decoupled=False))
    assert math.isinf(soft_length(0.4, actions=64, decoupled=False))
    assert round(soft_length(0.4, actions=64, decoupled=True), 2) == 1.0


def test_with_one_vocabulary_it_is_the_normalised_measure():
    logits = torch.randn(5, 30, dtype=torch.float64)
    allowed = torch.arange(30) < torch.tensor([[1], [2], [3], [10], [30]])
    probabilities = logits.masked_fill(~allowed, -math.inf).softmax(-1)
    entropy = torch.special.entr(probabilities).sum(-1)
    bonus = decoupled_temperature(allowed.sum(-1), 0.4, floor=1.0) * entropy
    torch.testing.assert_close(bonus, 0.4 * normalized(logits, allowed=allowed))


def test_the_range_of_a_box():
    assert box_entropy_range(torch.zeros(2), torch.full((2,), 4.0)) == pytest.approx(
        (2 * math.log(1e-3), 2 * math.log(4))
    )
    tiny = box_entropy_range(torch.zeros(1), torch.full((1,), 1e-4))
    assert tiny == pytest.approx((math.log(1e-4) - 3, math.log(1e-4)))


def test_bad_input():
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        decoupled_temperature(torch.tensor([4]), 0.0)
    with pytest.raises(ValueError, match=r"`allowed` must be at least 2 everywhere.*`floor`"):
        decoupled_temperature(torch.tensor([4, 1]), 0.4)
    with pytest.raises(ValueError, match="`high` must be above `low`"):
        box_entropy_range(torch.zeros(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="`actions` must be at least 2"):
        waiting_room(1)
    with pytest.raises(ValueError, match="`left` must be at least 1"):
        two_branches(0, 2)
    with pytest.raises(ValueError, match="`dimensions` must be at least 1"):
        escape_grid(0)


def test_the_claims_tell_a_wrong_temperature_apart(monkeypatch):
    # If decoupling did nothing, the claim must say so.
    claim = "entrostat.lab.classical.decoupled.decoupled_temperature"
    monkeypatch.setattr(claim, lambda allowed, temperature: torch.full(allowed.shape, temperature))
    assert get("classical_decoupled_escape").check(True).verdict == "does not hold"


def test_branches_and_duplicates_of_the_notes():
    assert left_probability(8, 2, decoupled=False) == pytest.approx(0.777, abs=5e-4)
    assert left_probability(8, 2, decoupled=True) == pytest.approx(0.5)
    for copies, groups in ((1, [0.69, 0.23, 0.08]), (8, [0.96, 0.04, 0.002])):
        found = grouped_policy((copies,) * 3, decoupled=True).tolist()
        assert [round(p, 3 if p < 0.01 else 2) for p in found] == groups
    plain, decoupled = (
        [float(grouped_policy((1, 1, copies), decoupled=d)[2]) for copies in (1, 64)] for d in (False, True)
    )
    assert plain == pytest.approx([0.09, 0.86], abs=5e-3)
    assert decoupled == pytest.approx([0.08, 0.014], abs=5e-3)
