import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.controllers import Annealed, Band, Constant, resolved_band

# AEnt on MATH, the published numbers.
MATH = {"low": 0.15, "high": 0.24, "rate": 0.002, "floor": 6e-4, "ceiling": 9e-3, "initial": 0.002}


def after(law, *entropies):
    state = law.init()
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
    return state


@pytest.mark.parametrize(
    ("entropy", "coef"),
    [
        (0.05, 0.0022),  # 0.1 nats below:  0.002 + 0.002 * 0.1
        (0.34, 0.0018),  # 0.1 nats above
        (0.15, 0.002),
        (0.20, 0.002),
        (0.24, 0.002),
        (2.00, 6e-4),  # 0.002 - 0.002 * 1.76 leaves the box
    ],
)
def test_one_update_by_hand(entropy, coef):
    law = Band(**MATH)
    assert law.coefficient(after(law, entropy)) == pytest.approx(coef, rel=1e-12)


def test_a_lasting_deficit_winds_to_the_ceiling_in_seventy_steps():
    # (0.009 - 0.002) / (0.002 * 0.05) = 70
    law = Band(**MATH)
    assert law.coefficient(after(law, *[0.1] * 69)) < law.ceiling
    assert law.coefficient(after(law, *[0.1] * 71)) == law.ceiling


@given(st.lists(st.floats(0, 3), max_size=20), st.lists(st.floats(0.15, 0.24), max_size=10))
def test_frozen_in_the_band_to_the_last_bit(before, inside):
    law = Band(**MATH)
    assert law.coefficient(after(law, *before, *inside)) == law.coefficient(after(law, *before))


@given(st.lists(st.floats(0, 3), max_size=10), st.floats(0, 3), st.floats(0, 3))
def test_less_entropy_never_means_a_smaller_coefficient(before, one, other):
    law = Band(**MATH)
    lower, higher = sorted((one, other))
    assert law.coefficient(after(law, *before, lower)) >= law.coefficient(after(law, *before, higher))


@pytest.mark.parametrize("warmup", [0, 1, 2, 29])
def test_the_update_after_warmup_is_the_first_that_moves(warmup):
    law = Band(**MATH, warmup=warmup)
    coefs = [law.coefficient(after(law, *[0.05] * updates)) for updates in range(warmup + 2)]
    assert coefs[:-1] == [law.initial] * (warmup + 1)
    assert coefs[-1] > law.initial


def first_move_verl(warmup):
    return next(step for step in range(1, 100) if warmup <= step)  # its steps are numbered from 1


def first_move_areal(warmup_steps):
    return next(step + 1 for step in range(100) if step > warmup_steps)  # its steps are numbered from 0


@pytest.mark.parametrize(("warmup", "first"), [(first - 1, first_move_verl(first)) for first in (1, 2, 30)])
def test_verls_warmup_is_one_less_here(warmup, first):
    law = Band(**MATH, warmup=warmup)
    moved = [law.coefficient(after(law, *[0.05] * updates)) > law.initial for updates in range(first + 1)]
    assert moved == [False] * first + [True]


@pytest.mark.parametrize(("warmup", "first"), [(theirs + 1, first_move_areal(theirs)) for theirs in (0, 1, 29)])
def test_areals_warmup_is_one_more_here(warmup, first):
    law = Band(**MATH, warmup=warmup)
    moved = [law.coefficient(after(law, *[0.05] * updates)) > law.initial for updates in range(first + 1)]
    assert moved == [False] * first + [True]


def test_a_relative_band_is_the_fraction_of_the_mean_over_warmup():
    relative = Band(**MATH | {"low": "40%", "high": "62.5%"}, warmup=3)
    warm = after(relative, 1.0, 2.0, 3.0)
    assert relative.band(after(relative, 1.0, 2.0)) is None
    assert relative.band(warm) == (0.8, 1.25)
    later = relative.update(relative.update(warm, entropy=9.0), entropy=0.1)
    assert relative.band(later) == (0.8, 1.25)
    in_nats = Band(**MATH | {"low": 0.8, "high": 1.25}, warmup=3)
    same = after(in_nats, 1.0, 2.0, 3.0, 9.0, 0.1)
    assert relative.coefficient(later) == in_nats.coefficient(same)


@pytest.mark.parametrize("text", ["40%", "40.0%", "100%", "0%", "250%"])
def test_percentages_it_reads(text):
    law = Band(**MATH | {"low": text, "high": "250%"}, warmup=1)
    assert law.band(after(law, 2.0)) == (2.0 * float(text[:-1]) / 100, 5.0)


@pytest.mark.parametrize("text", ["40", "40 %", "%", "-40%", "4e1%", "40%%", "nan%", "", "forty%", "٤٠%"])
@pytest.mark.parametrize("edge", ["low", "high"])
def test_texts_that_are_no_percentage(edge, text):
    edges = {"low": "0%", "high": "100%", edge: text}
    with pytest.raises(ValueError, match=f'`{edge}` must be nats or a percentage such as "40%", got {edge}='):
        Band(**MATH | edges, warmup=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 0.3}, "`low` must be at most `high`=0.24, got low=0.3."),
        ({"low": "60%", "high": "40%", "warmup": 1}, "`low` must be at most `high`='40%', got low='60%'."),
        ({"low": "40%", "warmup": 1}, "`high` must be of the kind of `low`='40%', got high=0.24."),
        ({"low": "40%", "high": "60%"}, "`warmup` must be at least 1 for a relative band, got warmup=0."),
        ({"low": -1}, "`low` must be at least 0, got low=-1."),
        ({"high": float("inf")}, "`high` must be finite, got high=inf."),
        ({"rate": -1e-3}, "`rate` must be at least 0, got rate=-0.001."),
        ({"warmup": -1}, "`warmup` must be at least 0, got warmup=-1."),
        ({"floor": 1.0}, "`floor` must be at most `ceiling`=0.009, got floor=1.0."),
        ({"initial": 1.0}, "`initial` must lie in [`floor`, `ceiling`] = [0.0006, 0.009], got initial=1.0."),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        Band(**MATH | settings)


@pytest.mark.parametrize("settings", [{"warmup": 1.5}, {"rate": "0.1"}, {"low": None, "high": 1}, {"floor": True}])
def test_settings_of_the_wrong_type(settings):
    with pytest.raises(TypeError, match="must be a"):
        Band(**MATH | settings)


def test_a_band_in_nats_is_known_from_the_start():
    law = Band(**MATH)
    assert resolved_band(law, law.init()) == (0.15, 0.24)


def test_a_relative_band_shows_once_measured_also_through_a_wrapper():
    law = Annealed(Band(**{**MATH, "low": "50%", "high": "75%", "warmup": 1}), total=10)
    assert resolved_band(law, law.init()) is None
    assert resolved_band(law, law.update(law.init(), entropy=2.0)) == (1.0, 1.5)


def test_a_law_without_a_band_has_none():
    law = Constant(coef=0.1)
    assert resolved_band(law, law.init()) is None
