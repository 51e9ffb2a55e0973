import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entrostat.lab.classical.ader import Ader, AderState, authors_shares, entropy_sensitivity, moved_budget

LAW = Ader(allowed=(5, 20, 3), rate=0.5)
reals = st.floats(-5, 5)


@given(st.lists(st.tuples(reals, reals, reals), min_size=1, max_size=30))
def test_the_budget_is_conserved(sensitivities):
    state = LAW.init()
    budget = sum(state.targets)
    for sensitivity in sensitivities:
        state = LAW.update(state, sensitivity=sensitivity, entropy=(0.1, 0.1, 0.1))
        assert sum(state.targets) == pytest.approx(budget, rel=1e-12)
        assert all(0 <= target <= cap for target, cap in zip(state.targets, LAW.caps, strict=True))


def test_the_numbers_of_the_notes():
    states = moved_budget((-0.8, -0.05))
    assert states[0].targets == pytest.approx((0.161, 0.161), abs=5e-4)
    assert states[-1].targets == pytest.approx((0.0, 0.3219), abs=1e-4)
    assert authors_shares((0.8, 0.05)) == pytest.approx([0.0, 1.0], abs=1e-3)  # the wrong way round
    assert moved_budget((0.8, 0.05))[-1].targets[0] == pytest.approx(0.3219, abs=1e-3)


def test_no_target_exceeds_what_its_group_can_have():
    law = Ader(allowed=(2, 50), rate=0.1, ratio=0.6, smoothing=0.0)
    state = law.update(law.init(), sensitivity=(1.0, -1.0), entropy=(0.5, 1.0))
    assert state.targets[0] == pytest.approx(math.log(2))
    assert sum(state.targets) == pytest.approx(0.6 * math.log(100))


def test_coefficients_follow_the_gap_and_stay_in_their_box():
    law = Ader(allowed=(4, 4), rate=0.5)
    state = law.init()
    after = law.update(state, sensitivity=(0.0, 0.0), entropy=(0.0, 1.0))
    assert after.targets == pytest.approx(state.targets)
    expected = [law.initial * math.exp(0.5 * (t - h)) for t, h in zip(after.targets, (0.0, 1.0), strict=True)]
    assert after.coefs == pytest.approx(expected)
    for _ in range(200):
        after = law.update(after, sensitivity=(0.0, 0.0), entropy=(0.0, 5.0))
    assert after.coefs == pytest.approx((0.5, 1e-4))


def test_sensitivity_is_the_slope_of_a_regression_in_each_group():
    entropies = torch.tensor([0.1, 0.5, 0.9, 2.0, 3.0, 1.0])
    group_ids = torch.tensor([0, 0, 0, 1, 1, 2])
    rewards = torch.where(group_ids == 0, 3 - 2 * entropies, 5 * entropies)
    assert entropy_sensitivity(rewards, entropies, group_ids).tolist() == pytest.approx([-2.0, 5.0, 0.0], abs=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="`allowed` must hold at least 2 actions"):
        Ader(allowed=(5, 1), rate=0.1)
    with pytest.raises(ValueError, match=r"`smoothing` must lie in \[0, 1\)"):
        Ader(allowed=(5, 5), rate=0.1, smoothing=1.0)
    with pytest.raises(ValueError, match="`sensitivity` must hold one finite number for each of the 2 groups"):
        Ader(allowed=(5, 5), rate=0.1).update(AderState((0.1, 0.1), (0.1, 0.1)), sensitivity=[1.0], entropy=[1.0, 1.0])
    with pytest.raises(ValueError, match="`entropy` must hold one finite number"):
        Ader(allowed=(5, 5), rate=0.1).update(
            AderState((0.1, 0.1), (0.1, 0.1)), sensitivity=[1.0, 1.0], entropy=[math.nan, 1.0]
        )
