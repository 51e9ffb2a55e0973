"""What all control laws share: checks, the length of the run, saved states."""

import copy
import math
import re

import pytest

from entrostat.controllers import (
    Annealed,
    Band,
    Constant,
    NonFiniteEntropyWarning,
    needs_total,
    state_from_dict,
    state_to_dict,
    with_total,
)
from entrostat.controllers._base import clip, is_controller, measured, require_box, require_nonnegative

BAND = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
LAW = Annealed(BAND, total=10)


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


def test_a_law_that_does_not_ask_is_returned_as_it_is():
    assert not needs_total(BAND)
    assert with_total(BAND, 10) is BAND


def test_every_waiting_part_is_bound_also_inside():
    law = Annealed(Annealed(BAND, last=0.5, shape="step"), last=0.2)
    assert needs_total(law)
    bound = with_total(law, 10)
    assert bound == Annealed(Annealed(BAND, last=0.5, shape="step", total=10), last=0.2, total=10)
    assert not needs_total(bound)
    assert needs_total(law)


def test_an_inner_part_alone_can_wait():
    law = Annealed(Annealed(Constant(coef=0.1)), total=4)
    assert needs_total(law)
    assert with_total(law, 10) == Annealed(Annealed(Constant(coef=0.1), total=10), total=4)


def test_a_total_the_user_gave_is_kept():
    law = Annealed(Constant(coef=0.1), total=4)
    assert not needs_total(law)
    assert with_total(law, 10) is law


@pytest.mark.parametrize(("total", "error"), [(0, ValueError), (2.5, TypeError), (None, TypeError)])
def test_a_total_is_a_positive_integer(total, error):
    with pytest.raises(error, match="`total` must be"):
        with_total(BAND, total)


def saved():
    return state_to_dict(LAW, LAW.update(LAW.init(), entropy=0.1))


def test_what_a_saved_state_looks_like():
    state = BAND.update(BAND.init(), entropy=0.2)
    assert state_to_dict(BAND, state) == {
        "schema": 1,
        "controller": "Band",
        "settings": {
            "low": 0.15,
            "high": 0.24,
            "rate": 0.002,
            "floor": 6e-4,
            "ceiling": 9e-3,
            "initial": 0.002,
            "warmup": 0,
        },
        "state": {"coef": 0.002, "updates": 1, "warmup_sum": 0.0},
    }


def test_a_wrapper_saves_the_wrapped_law_with_itself():
    data = saved()
    assert data["settings"]["controller"] == {
        "controller": "Band",
        "settings": state_to_dict(BAND, BAND.init())["settings"],
    }
    assert data["settings"].keys() == {"controller", "last", "shape"}
    assert data["state"]["inner"].keys() == {"coef", "updates", "warmup_sum"}


def damage(data, path, value):
    *parents, name = path
    for parent in parents:
        data = data[parent]
    if value is KeyError:
        del data[name]
    else:
        data[name] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], 2, "the saved state of `Annealed` has schema 2, this version reads 1."),
        (
            ["schema"],
            KeyError,
            "must have the fields ['controller', 'schema', 'settings', 'state'], found ['controller', ",
        ),
        (
            ["extra"],
            1,
            "must have the fields ['controller', 'schema', 'settings', 'state'], found ['controller', 'extra'",
        ),
        (["controller"], "Band", "this is the state of `Band`, not of `Annealed`."),
        (["settings", "last"], 0.4, "this state of `Annealed` was saved under other settings: "),
        (
            ["settings", "controller", "settings", "rate"],
            0.1,
            "this state of `Annealed` was saved under other settings",
        ),
        (["state"], None, "the state of `Annealed` must have the fields ['inner', 'updates'], found None."),
        (["state"], [1, 2], "the state of `Annealed` must have the fields ['inner', 'updates'], found [1, 2]."),
        (["state", "updates"], KeyError, "must have the fields ['inner', 'updates'], found ['inner']."),
        (["state", "more"], 0, "must have the fields ['inner', 'updates'], found ['inner', 'more', 'updates']."),
        (["state", "updates"], 1.0, "field 'updates' in the state of `Annealed` must be a finite int, got 1.0."),
        (["state", "updates"], True, "field 'updates' in the state of `Annealed` must be a finite int, got True."),
        (["state", "updates"], None, "must be a finite int, got None."),
        (["state", "inner"], 0.5, "must have the fields ['coef', 'updates', 'warmup_sum'], found 0.5."),
        (["state", "inner", "coef"], KeyError, "found ['updates', 'warmup_sum']."),
        (
            ["state", "inner", "coef"],
            "0.1",
            "field 'coef' in the state of `Annealed` must be a finite float, got '0.1'.",
        ),
        (["state", "inner", "coef"], 1, "must be a finite float, got 1."),
        (["state", "inner", "coef"], math.nan, "must be a finite float, got nan."),
    ],
)
def test_a_damaged_state_is_refused(path, value, message):
    data = copy.deepcopy(saved())
    damage(data, path, value)
    with pytest.raises(ValueError, match=re.escape(message)):
        state_from_dict(LAW, data)


@pytest.mark.parametrize("data", [None, [], "state", 3])
def test_what_is_no_mapping_is_refused(data):
    with pytest.raises(ValueError, match="must have the fields"):
        state_from_dict(LAW, data)


def test_saving_another_laws_state_is_refused():
    with pytest.raises(ValueError, match=r"must have the fields \['inner', 'updates'\]"):
        state_to_dict(LAW, Constant(coef=0.1).init())
