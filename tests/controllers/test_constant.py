import math

import pytest

from entrostat.controllers import Constant


def test_it_never_moves():
    law = Constant(coef=0.002)
    state = law.init()
    for entropy in (0.0, 5.0, 0.2):
        state = law.update(state, entropy=entropy)
        assert law.coefficient(state) == 0.002


@pytest.mark.parametrize("coef", [math.nan, math.inf])
def test_the_coefficient_must_be_finite(coef):
    with pytest.raises(ValueError, match="`coef` must be finite"):
        Constant(coef=coef)
