import math
import re

import pytest

from entrostat.controllers import Constant, NonFiniteEntropyWarning
from entrostat.controllers._base import clip, is_controller, measured, require_box, require_nonnegative


def test_measured_returns_a_plain_float():
    assert type(measured(1)) is float
    with pytest.warns(NonFiniteEntropyWarning, match="got entropy=nan"):
        assert measured(math.nan) is None


@pytest.mark.parametrize(("value", "expected"), [(-3, -1.0), (0.25, 0.25), (7.5, 2.0)])
def test_clip_returns_floats_from_integer_bounds(value, expected):
    clipped = clip(value, -1, 2)
    assert clipped == expected
    assert type(clipped) is float


def test_a_warning_class_one_can_filter():
    assert issubclass(NonFiniteEntropyWarning, UserWarning)


def test_is_controller_tells_a_wrapped_law_from_a_number():
    assert is_controller(Constant(coef=1.0))
    assert not is_controller(0.3)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ({"floor": 2, "initial": 1, "ceiling": 1}, "`floor` must be at most `ceiling`=1, got floor=2."),
        (
            {"floor": 0, "initial": 3, "ceiling": 1},
            "`initial` must lie in [`floor`, `ceiling`] = [0, 1], got initial=3.",
        ),
        (
            {"floor": 0, "initial": -1, "ceiling": 1},
            "`initial` must lie in [`floor`, `ceiling`] = [0, 1], got initial=-1.",
        ),
        ({"floor": -math.inf, "initial": 0, "ceiling": 1}, "`floor` must be finite, got floor=-inf."),
        ({"floor": 0, "initial": math.nan, "ceiling": 1}, "`initial` must be finite, got initial=nan."),
    ],
)
def test_boxes_that_hold_nothing(box, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        require_box(**box)


def test_a_rate_is_a_number_of_at_least_zero():
    require_nonnegative("rate", 0)
    with pytest.raises(ValueError, match=r"`rate` must be at least 0, got rate=-0\.1"):
        require_nonnegative("rate", -0.1)
    with pytest.raises(TypeError, match="`rate` must be a number"):
        require_nonnegative("rate", True)
