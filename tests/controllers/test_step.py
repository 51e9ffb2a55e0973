import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.controllers import Step

OFFICIAL = {"target": 0.2, "delta": 1e-4, "ceiling": 5e-3}


def after(law, *entropies):
    state = law.init()
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
    return state


def test_steps_and_gate_by_hand():
    law = Step(target=0.25, delta=0.5, ceiling=1.0)
    assert after(law, 0.1) == (0.5, True)
    assert after(law, 0.1, 0.1, 0.1) == (1.0, True)
    assert after(law, 0.1, 0.1, 0.3) == (0.5, False)
    assert law.coefficient(after(law, 0.1, 0.1, 0.3)) == 0.0
    # The step back up starts from what the shut gate hid.
    assert law.coefficient(after(law, 0.1, 0.1, 0.3, 0.1)) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(["skywork", "trl"]))
def test_nothing_is_applied_above_the_target(entropies, variant):
    law = Step(**OFFICIAL, initial=5e-3, variant=variant)
    applied = law.coefficient(after(law, *entropies))
    if entropies[-1] > law.target:
        assert applied == 0.0
    if entropies[-1] < law.target:
        assert applied == after(law, *entropies).coef >= law.floor


def test_the_two_variants_differ_at_the_target_and_before_the_first_measurement():
    skywork, trl = (Step(**OFFICIAL, initial=1e-3, variant=variant) for variant in ("skywork", "trl"))
    assert skywork.coefficient(skywork.init()) == 1e-3
    assert trl.coefficient(trl.init()) == 0.0
    assert skywork.coefficient(after(skywork, 0.2)) == 0.0
    assert trl.coefficient(after(trl, 0.2)) == pytest.approx(1.1e-3)


@given(st.lists(st.floats(0, 1).filter(lambda entropy: entropy != 0.2), min_size=1, max_size=30))
def test_elsewhere_the_two_variants_agree(entropies):
    skywork, trl = (Step(**OFFICIAL, variant=variant) for variant in ("skywork", "trl"))
    assert after(skywork, *entropies) == after(trl, *entropies)


def test_the_trl_variant_repeats_trls_arithmetic():
    # TRL 1.16: applied = coef if last <= target else 0, last = inf at first; then coef +- delta inside [min, max].
    coef, last, applied = 0.01, float("inf"), []
    entropies = [0.5, 0.1, 0.2, 0.21, 0.05, 0.05, 0.3, 0.3, 0.3, 0.1]
    for entropy in entropies:
        applied.append(coef if last <= 0.2 else 0.0)
        coef = min(coef + 0.005, 1.0) if entropy <= 0.2 else max(coef - 0.005, 0.0)
        last = entropy
    law = Step(target=0.2, delta=0.005, ceiling=1.0, initial=0.01, variant="trl")
    assert [law.coefficient(after(law, *entropies[:k])) for k in range(len(entropies))] == applied


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": -1}, "`target` must be at least 0, got target=-1."),
        ({"delta": -1}, "`delta` must be at least 0, got delta=-1."),
        ({"floor": 1}, "`floor` must be at most `ceiling`=0.005, got floor=1."),
        ({"initial": 1}, "`initial` must lie in"),
        ({"variant": "try"}, "unknown variant 'try'. Did you mean 'trl'? Known: skywork, trl."),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Step(**OFFICIAL | settings)
