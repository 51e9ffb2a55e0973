import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.controllers import Annealed, Band, Constant, state_from_dict, state_to_dict


def path(law, windows, entropy=0.3):
    state, used = law.init(), []
    for _ in range(windows):
        used.append(law.coefficient(state))
        state = law.update(state, entropy=entropy)
    return used


def test_the_last_thirty_percent_by_hand():
    used = path(Annealed(Constant(coef=0.1), total=10), 12)
    assert used == pytest.approx([0.1] * 7 + [0.1 * 2 / 3, 0.1 / 3, 0.0, 0.0, 0.0])


def test_the_step_shape_is_zero_at_once():
    assert path(Annealed(Constant(coef=0.1), total=10, shape="step"), 12) == [0.1] * 7 + [0.0] * 5


@given(st.integers(1, 300), st.floats(0.001, 1), st.sampled_from(["linear", "step"]))
def test_it_never_rises_and_ends_at_exactly_zero(total, last, shape):
    used = path(Annealed(Constant(coef=0.7), last=last, shape=shape, total=total), total)
    assert used[-1] == 0.0
    assert used == sorted(used, reverse=True)
    untouched = sum(coef == 0.7 for coef in used)
    assert total - untouched == max(1, round(last * total))


def test_before_the_end_it_is_the_wrapped_law():
    band = Band(low=0.5, high=1.0, rate=0.1, floor=0.0, ceiling=1.0, initial=0.2)
    assert path(Annealed(band, total=20), 14) == path(band, 14)


def test_the_wrapped_law_is_held_while_annealing():
    # The entropy stays too low, so a law that went on would raise its coefficient against the annealing.
    band = Band(low=0.5, high=1.0, rate=0.1, floor=0.0, ceiling=1.0, initial=0.2)
    used = path(Annealed(band, total=10), 10, entropy=0.0)
    held = path(band, 8, entropy=0.0)[-1]
    assert used[7:] == pytest.approx([held * 2 / 3, held / 3, 0.0])


def test_the_length_of_the_run_must_be_known():
    law = Annealed(Constant(coef=0.1))
    state = law.init()
    for use in (lambda: law.coefficient(state), lambda: law.update(state, entropy=0.3)):
        with pytest.raises(ValueError, match=r"`total` must be known .* Bind the length of the run: `with_total"):
            use()


def test_a_run_may_be_resumed_for_longer():
    short, long = (Annealed(Constant(coef=0.1), last=0.5, total=total) for total in (4, 8))
    state = short.update(short.update(short.init(), entropy=0.3), entropy=0.3)
    assert short.coefficient(state) == pytest.approx(0.05)
    assert long.coefficient(state_from_dict(long, state_to_dict(short, state))) == 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"last": 0.0}, "`last` must lie in (0, 1], got last=0.0."),
        ({"last": 1.1}, "`last` must lie in (0, 1], got last=1.1."),
        ({"total": 0}, "`total` must be at least 1, got total=0."),
        ({"shape": "steep"}, "unknown shape 'steep'. Did you mean 'step'? Known: linear, step."),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Annealed(Constant(coef=0.1), **settings)
