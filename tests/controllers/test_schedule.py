import math
import re

import pytest

from entrostat.controllers import Schedule


def path(law, windows):
    state, used = law.init(), []
    for _ in range(windows):
        used.append(law.coefficient(state))
        state = law.update(state, entropy=0.3)
    return used


def test_linear_by_hand():
    assert path(Schedule(start=1.0, end=0.0, steps=4), 7) == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0]


def test_cosine_by_hand():
    expected = [0.2, 0.2 + 0.4 * (1 - math.sqrt(0.5)) / 2, 0.4, 0.2 + 0.4 * (1 + math.sqrt(0.5)) / 2, 0.6, 0.6]
    assert path(Schedule(start=0.2, end=0.6, steps=4, shape="cosine"), 6) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_both_ends_are_exact(shape):
    used = path(Schedule(start=0.4, end=0.1, steps=3, shape=shape), 4)
    assert 0.4 + (0.1 - 0.4) != 0.1  # so the formula alone would miss it
    assert (used[0], used[-1]) == (0.4, 0.1)


def test_the_entropy_does_not_matter():
    law = Schedule(start=1.0, end=0.0, steps=4)
    assert law.update(law.init(), entropy=0.0) == law.update(law.init(), entropy=9.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "`steps` must be at least 1, got steps=0."),
        ({"start": math.inf}, "`start` must be finite, got start=inf."),
        ({"end": math.nan}, "`end` must be finite, got end=nan."),
        ({"shape": "lineal"}, "unknown shape 'lineal'. Did you mean 'linear'? Known: cosine, linear."),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Schedule(**{"start": 1.0, "end": 0.0, "steps": 3} | settings)
