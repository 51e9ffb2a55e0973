import re

import pytest

from entrostat.controllers import Anchored


def after(law, *entropies):
    state = law.init()
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
    return state


def test_the_anchor_is_the_mean_of_the_first_updates_and_then_frozen():
    law = Anchored(fraction=0.5, rate=0.1, anchor_updates=2)
    assert law.target(after(law, 1.0)) is None
    assert law.target(after(law, 1.0, 3.0)) == 1.0
    assert law.target(after(law, 1.0, 3.0, 9.0, 0.1)) == 1.0


def test_updates_by_hand():
    # target = 0.4 * 2 = 0.8; errors 0.3 and -0.5 at rate 0.5: 0.1 + 0.15, then 0.25 - 0.25
    law = Anchored(rate=0.5, initial=0.1)
    assert law.coefficient(after(law, 2.0)) == 0.1
    assert law.coefficient(after(law, 2.0, 0.5)) == pytest.approx(0.25)
    assert law.coefficient(after(law, 2.0, 0.5, 1.3)) == pytest.approx(0.0)


def test_the_floor_is_zero_and_the_ceiling_is_optional():
    free, boxed = Anchored(rate=10.0), Anchored(rate=10.0, ceiling=0.5)
    assert free.coefficient(after(free, 1.0, 1.0)) == 0.0
    assert free.coefficient(after(free, 1.0, 0.0)) == 4.0
    assert boxed.coefficient(after(boxed, 1.0, 0.0)) == 0.5


def test_the_fraction_of_the_paper_is_the_default():
    assert Anchored(rate=0.1).fraction == 0.4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fraction": 0.0}, "`fraction` must lie in (0, 1], got fraction=0.0."),
        ({"fraction": 1.5}, "`fraction` must lie in (0, 1], got fraction=1.5."),
        ({"rate": -0.1}, "`rate` must be at least 0, got rate=-0.1."),
        ({"anchor_updates": 0}, "`anchor_updates` must be at least 1, got anchor_updates=0."),
        ({"initial": -1.0}, "`initial` must lie in"),
        ({"ceiling": -1.0}, "`floor` must be at most `ceiling`=-1.0, got floor=0.0."),
        ({"initial": 2.0, "ceiling": 1.0}, "`initial` must lie in"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Anchored(**{"rate": 0.1} | settings)
