import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.controllers import Dual


def after(law, *entropies):
    state = law.init()
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
    return state


def test_the_first_coefficient_is_the_given_one_exactly():
    law = Dual(target=0.5, rate=1.0, initial=0.017)
    assert law.coefficient(law.init()) == 0.017


@pytest.mark.parametrize(
    ("through_exp", "entropy", "expected"),
    [
        (False, 0.25, 0.1 * math.exp(2 * 0.25)),
        (False, 0.75, 0.1 * math.exp(-2 * 0.25)),
        (True, 0.25, 0.1 * math.exp(2 * 0.1 * 0.25)),  # the chain rule's factor: the coefficient itself
    ],
)
def test_one_update_by_hand(through_exp, entropy, expected):
    law = Dual(target=0.5, rate=2.0, initial=0.1, through_exp=through_exp)
    assert law.coefficient(after(law, entropy)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("through_exp", [False, True])
def test_the_step_is_the_negative_gradient_of_the_dual_objective(through_exp):
    # J(log c) = c (H - target), differentiated in c (the default) or in log c.
    law = Dual(target=0.5, rate=1e-3, initial=0.3, through_exp=through_exp)
    entropy, h = 0.9, 1e-6

    def objective(x):
        return (math.exp(x) if through_exp else x) * (entropy - law.target)

    at = math.log(law.initial) if through_exp else law.initial
    gradient = (objective(at + h) - objective(at - h)) / (2 * h)
    moved = math.log(law.coefficient(after(law, entropy))) - math.log(law.initial)
    assert moved == pytest.approx(-law.rate * gradient, rel=1e-6)


@given(st.lists(st.floats(0, 1e6), max_size=20), st.floats(0, 1e6))
def test_it_stays_positive_and_finite_even_for_a_target_out_of_reach(entropies, rate):
    law = Dual(target=1e6, rate=rate, initial=1.0)
    assert 0 < law.floor <= law.coefficient(after(law, *entropies)) <= law.ceiling < math.inf


@pytest.mark.parametrize("bound", [0.05, 3.0, 5.0, 7.0])
def test_rounding_never_leaves_the_box(bound):
    assert math.exp(math.log(bound)) != bound  # so exp and log alone would miss it
    above = Dual(target=0.5, rate=100.0, initial=bound / 2, ceiling=bound)
    below = Dual(target=0.5, rate=100.0, initial=bound * 2, floor=bound)
    assert bound * (1 - 1e-15) <= above.coefficient(after(above, 0.0)) <= bound
    assert bound <= below.coefficient(after(below, 1.0)) <= bound * (1 + 1e-15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": -1.0}, "`target` must be at least 0, got target=-1.0."),
        ({"rate": -1.0}, "`rate` must be at least 0, got rate=-1.0."),
        ({"floor": 0.0}, "`floor` must be positive, got floor=0.0."),
        ({"initial": 0.0}, "`initial` must lie in"),
        ({"initial": 2.0, "ceiling": 1.0}, "`initial` must lie in"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Dual(**{"target": 0.5, "rate": 1.0, "initial": 0.1} | settings)
