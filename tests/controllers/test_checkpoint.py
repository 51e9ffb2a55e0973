import copy
import math
import re

import pytest

from entrostat.controllers import Annealed, Band, Constant, state_from_dict, state_to_dict

BAND = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
LAW = Annealed(BAND, total=10)


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
