import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.controllers import ProportionalIntegral


def after(law, *entropies):
    state = law.init()
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
    return state


def test_three_updates_by_hand():
    # e = 0.25, 0.5, -0.25; the integral enters before the error of the same update is added: 0, 0.25, 0.75.
    law = ProportionalIntegral(target=0.5, kp=1.0, ki=0.1)
    assert law.coefficient(law.init()) == 0.0
    assert after(law, 0.75) == (0.25, 0.25)
    assert after(law, 0.75, 1.0) == pytest.approx((0.525, 0.75))
    assert after(law, 0.75, 1.0, 0.25) == pytest.approx((-0.175, 0.5))


def test_the_defaults_are_the_papers():
    law = ProportionalIntegral(target=0.1)
    assert (law.kp, law.ki, law.limit) == (1.0, 0.01, 1.0)


def test_only_the_coefficient_is_clipped_by_default():
    law = ProportionalIntegral(target=0.0, kp=1.0, ki=0.01)
    assert after(law, 3.0, 3.0, 3.0) == (1.0, 9.0)


def test_anti_windup_holds_the_integral_while_saturated_and_lets_it_unwind():
    law = ProportionalIntegral(target=1.0, kp=1.0, ki=0.5, anti_windup=True)
    assert after(law, 5.0, 5.0) == (1.0, 0.0)
    assert after(law, 1.5) == (0.5, 0.5)
    wound = after(law, *[1.75] * 2)  # e = 0.75 twice: alpha = 0.75, then 1.125 -> saturated, integral stays 0.75
    assert wound == (1.0, 0.75)
    assert law.update(wound, entropy=0.5) == (-0.125, 0.25)  # the error pulls back, so it is integrated


def test_anti_windup_integrates_an_error_that_pulls_back_from_the_limit():
    law = ProportionalIntegral(target=1.0, kp=0.0, ki=1.0, limit=0.5, anti_windup=True)
    assert after(law, 1.5, 1.25, 0.75) == (0.5, 0.25)  # integral: 0.5, held at 0.5, then 0.5 - 0.25


@given(st.lists(st.floats(0, 20), max_size=30))
def test_the_limit_is_respected(entropies):
    law = ProportionalIntegral(target=0.3, kp=2.0, ki=0.5, limit=0.7)
    assert -0.7 <= law.coefficient(after(law, *entropies)) <= 0.7


@pytest.mark.parametrize("name", ["target", "kp", "ki", "limit"])
def test_settings_must_not_be_negative(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0, got {name}=-1"):
        ProportionalIntegral(**{"target": 0.1, name: -1})
