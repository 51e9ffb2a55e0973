"""The contract of every control law: a new public one without an example here fails, so it cannot skip it."""

import ast
import dataclasses
import importlib
import inspect
import json
import math
import sys
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat import controllers
from entrostat.controllers import (
    Anchored,
    Annealed,
    Band,
    Constant,
    Dual,
    Hysteresis,
    NonFiniteEntropyWarning,
    Proportional,
    ProportionalIntegral,
    Relay,
    Schedule,
    SquaredAnchor,
    Step,
    state_from_dict,
    state_to_dict,
)

BAND = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002, warmup=2)

# Integer settings are here on purpose: an int that slips into a state is refused by its own checkpoint.
EXAMPLES = {
    "anchored": Anchored(fraction=0.4, rate=0.3, anchor_updates=2, ceiling=1),
    "anchored, sign": Anchored(rate=1, ceiling=3, form="sign"),
    "anchored, unbounded": Anchored(rate=1, initial=1, floor=0),
    "annealed": Annealed(BAND, last=0.3, total=20),
    "annealed step": Annealed(Step(target=1, delta=1, ceiling=3, initial=1), last=1, shape="step", total=9),
    "annealed twice": Annealed(Annealed(Constant(coef=1), last=0.5, total=10), total=20),
    "band": BAND,
    "band, relative": Band(low="40%", high="62.5%", rate=1, floor=0, ceiling=2, initial=1, warmup=3),
    "band, integers": Band(low=1, high=2, rate=1, floor=-1, ceiling=1, initial=0),
    "constant": Constant(coef=1),
    "dual": Dual(target=1, rate=3, initial=1),
    "dual, boxed": Dual(target=0.5, rate=0.7, initial=1, floor=1, ceiling=2, through_exp=True),
    "hysteresis": Hysteresis(total=10),
    "proportional": Proportional(target=0.5, offset=1, floor=0.8, ceiling=1.2, initial=1),
    "proportional, integers": Proportional(target=1, gain=2, floor=0, ceiling=1, initial=1),
    "proportional_integral": ProportionalIntegral(target=0.3),
    "proportional_integral, integers": ProportionalIntegral(target=1, kp=1, ki=1, limit=1, anti_windup=True),
    "relay": Relay(threshold=0.3, below=0.1, above=0),
    "relay, inclusive": Relay(threshold=1, below=2, above=1, inclusive=True),
    "schedule": Schedule(start=1, end=0, steps=7),
    "schedule, cosine": Schedule(start=0.3, end=-0.1, steps=5, shape="cosine"),
    "squared_anchor": SquaredAnchor(),
    "squared_anchor, integers": SquaredAnchor(beta=1),
    "step": Step(target=0.2, delta=1e-4, ceiling=5e-3),
    "step, trl": Step(target=1, delta=1, ceiling=3, initial=1, variant="trl"),
}
every = pytest.mark.parametrize("controller", EXAMPLES.values(), ids=EXAMPLES)
entropies = st.lists(st.floats(0, 20), max_size=30)


def run(controller, state, measurements):
    """Feed the measurements; return the last state and the coefficient each window used."""
    used = []
    for entropy in measurements:
        used.append(controller.coefficient(state))
        state = controller.update(state, entropy=entropy)
    return state, used


def leaves(state):
    for value in state:
        yield from leaves(value) if isinstance(value, tuple) else [value]


def test_every_public_law_has_an_example():
    public = {getattr(controllers, name) for name in controllers.__all__}
    laws = {value for value in public if dataclasses.is_dataclass(value)}
    for law in laws - {type(example) for example in EXAMPLES.values()}:
        required = [field.name for field in dataclasses.fields(law) if field.default is dataclasses.MISSING]
        settings = ", ".join(f"{name}=..." for name in required)
        pytest.fail(f'add to EXAMPLES in {__file__}:    "{law.__name__.lower()}": {law.__name__}({settings}),')


@every
def test_settings_are_frozen_and_keyword_only(controller):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(controller, dataclasses.fields(controller)[0].name, 1.0)
    positional = [field.name for field in dataclasses.fields(controller) if not field.kw_only]
    assert positional == (["controller"] if isinstance(controller, Annealed) else [])


@every
@given(measurements=entropies)
def test_update_and_coefficient_are_pure(controller, measurements):
    state, used = run(controller, controller.init(), measurements)
    again, used_again = run(controller, controller.init(), measurements)
    assert (state, used) == (again, used_again)
    before = json.dumps(state_to_dict(controller, state))
    assert controller.coefficient(state) == controller.coefficient(state)
    assert controller.update(state, entropy=0.5) == controller.update(state, entropy=0.5)
    assert json.dumps(state_to_dict(controller, state)) == before


@every
@given(measurements=entropies)
def test_states_and_coefficients_are_plain_finite_numbers(controller, measurements):
    state, used = run(controller, controller.init(), measurements)
    fresh = list(leaves(controller.init()))
    for value, like in zip(leaves(state), fresh, strict=True):
        assert type(value) is type(like)
        assert type(value) in (float, int, bool)
        assert math.isfinite(value)
    assert all(type(coef) is float and math.isfinite(coef) for coef in used)


@every
def test_states_are_named_and_typed(controller):
    state = controller.init()
    hints = typing.get_type_hints(type(state))
    assert list(hints) == list(state._fields)
    assert not {"count", "index"} & set(state._fields)
    assert all(hints[name] is typing.Any or type(value) is hints[name] for name, value in state._asdict().items())


@every
@given(measurements=entropies, data=st.data())
def test_a_saved_run_continues_bit_for_bit(controller, measurements, data):
    k = data.draw(st.integers(0, len(measurements)))
    whole_state, whole = run(controller, controller.init(), measurements)
    state, head = run(controller, controller.init(), measurements[:k])
    text = json.dumps(state_to_dict(controller, state), allow_nan=False)
    state, tail = run(controller, state_from_dict(controller, json.loads(text)), measurements[k:])
    assert head + tail == whole
    assert state == whole_state


@pytest.mark.parametrize("theirs", EXAMPLES)
@pytest.mark.parametrize("ours", EXAMPLES)
def test_another_controllers_state_is_refused(ours, theirs):
    saved = state_to_dict(EXAMPLES[theirs], EXAMPLES[theirs].init())
    if ours == theirs:
        assert state_from_dict(EXAMPLES[ours], saved) == EXAMPLES[ours].init()
    else:
        with pytest.raises(ValueError, match=r"this is the state of|saved under other settings"):
            state_from_dict(EXAMPLES[ours], saved)


@every
@pytest.mark.parametrize("entropy", [math.nan, math.inf, -math.inf])
def test_entropy_that_is_not_finite_changes_nothing_and_says_so(controller, entropy):
    state, _ = run(controller, controller.init(), [0.4, 0.1, 3.0])
    with pytest.warns(NonFiniteEntropyWarning, match="`entropy` must be finite") as seen:
        after = controller.update(state, entropy=entropy)
    assert after is state
    assert len(seen) == 1
    assert seen[0].filename == __file__


@every
@pytest.mark.parametrize("entropy", [True, "0.3", None])
def test_entropy_must_be_a_number(controller, entropy):
    with pytest.raises(TypeError, match="`entropy` must be a plain number"):
        controller.update(controller.init(), entropy=entropy)


@pytest.mark.parametrize("name", [name for name, law in EXAMPLES.items() if getattr(law, "ceiling", None) is not None])
@given(measurements=entropies)
def test_the_box_is_respected(name, measurements):
    law = EXAMPLES[name]
    state, _ = run(law, law.init(), measurements)
    assert law.floor <= state.coef <= law.ceiling


def test_no_law_imports_torch():
    for path in Path(inspect.getfile(controllers)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert all(name.split(".")[0] in {"entrostat", "__future__", *sys.stdlib_module_names} for name in names)


def test_public_names_are_sorted_and_exist():
    module = importlib.import_module("entrostat.controllers")
    assert module.__all__ == sorted(module.__all__, key=lambda name: (not name[0].isupper(), name))
    assert all(hasattr(module, name) for name in module.__all__)
