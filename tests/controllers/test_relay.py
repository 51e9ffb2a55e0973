import re

import pytest

from entrostat.controllers import Proportional, Relay


def coefs(law, *entropies):
    state, seen = law.init(), []
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
        seen.append(law.coefficient(state))
    return seen


def test_the_relay_switches_at_the_threshold_and_starts_low():
    law = Relay(threshold=0.5, below=1.2, above=0.8)
    assert law.coefficient(law.init()) == 1.2
    assert coefs(law, 0.6, 0.4, 0.5) == [0.8, 1.2, 0.8]
    assert coefs(Relay(threshold=0.5, below=1.2, above=0.8, inclusive=True), 0.5) == [1.2]


def test_the_proportional_law_by_hand():
    law = Proportional(target=0.5, offset=1.0, floor=0.8, ceiling=1.2, initial=1.2)
    assert law.coefficient(law.init()) == 1.2
    assert coefs(law, 0.5, 0.6, 0.4, 2.0, 0.0) == pytest.approx([1.0, 0.9, 1.1, 0.8, 1.2])


@pytest.mark.parametrize(
    ("law", "settings", "says"),
    [
        (Relay, {"threshold": -1.0, "below": 1.0, "above": 0.0}, "`threshold` must be at least 0"),
        (Relay, {"threshold": 1.0, "below": float("nan"), "above": 0.0}, "`below` must be finite"),
        (Proportional, {"target": 1.0, "floor": 1.0, "ceiling": 0.0, "initial": 0.5}, "`floor` must be at most"),
        (Proportional, {"target": 1.0, "gain": -1.0, "floor": 0.0, "ceiling": 1.0, "initial": 0.5}, "`gain` must be"),
    ],
)
def test_settings_out_of_range(law, settings, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        law(**settings)
