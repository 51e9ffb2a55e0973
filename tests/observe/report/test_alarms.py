from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrostat.observe.analysis.findings import alarms, exploded
from entrostat.observe.report import load_runs

MakeRun = Callable[..., Path]


@pytest.fixture
def found(make_run: MakeRun) -> Callable[..., dict[str, tuple[int, float]]]:
    def find(label: str = "aent", **settings: Any) -> dict[str, tuple[int, float]]:
        (run,) = load_runs([make_run(label, **settings)])
        return {alarm.kind: (alarm.step, alarm.value) for alarm in alarms(run.curves)}

    return find


Found = Callable[..., dict[str, tuple[int, float]]]


def test_a_calm_run_raises_no_alarm(found: Found) -> None:
    dice = random.Random(0)
    noisy = [0.4 * (1 + dice.uniform(-0.3, 0.3)) for _ in range(200)]
    calm = found(
        steps=199,
        entropy=lambda step: noisy[step],
        coef=lambda step: 0.04 + 0.001 * (step % 7),
        useless_mass=lambda step: 0.04 if step % 40 == 0 else 0.001,
    )
    assert calm == {}


def test_collapse_begins_where_entropy_stays_under_half(found: Found) -> None:
    def entropy(step: int) -> float:
        return 0.1 if 20 <= step < 32 or step >= 60 else 0.4

    step, lowest = found(steps=100, entropy=entropy, coef=0.04)["collapsed"]
    assert 60 <= step <= 70  # the dip from 20 to 32 was not the collapse, it did not stay
    assert lowest == pytest.approx(0.1)


def test_a_collapse_after_the_coefficient_was_withdrawn_is_named_so(found: Found) -> None:
    kinds = found(steps=100, entropy=lambda step: 0.4 if step < 80 else 0.1, coef=lambda step: 0.1 * (step < 70))
    assert set(kinds) == {"withdrawn"}


def test_a_collapse_before_the_coefficient_was_withdrawn_is_a_collapse(found: Found) -> None:
    kinds = found(steps=100, entropy=lambda step: 0.4 if step < 30 else 0.1, coef=lambda step: 0.1 * (step < 70))
    assert set(kinds) == {"collapsed"}


def test_explosion_is_a_sustained_rise(found: Found) -> None:
    assert "exploded" not in found("a", entropy=lambda step: 2.0 if step == 30 else 0.4, coef=0.04)
    step, peak = found("b", entropy=lambda step: 2.0 if step >= 30 else 0.4, coef=0.04)["exploded"]
    assert 20 <= step <= 30
    assert peak == pytest.approx(2.0)


def test_a_leak_is_over_one_percent_of_the_mass(found: Found) -> None:
    assert "leaked" not in found("a", useless_mass=0.0099, coef=0.04)
    assert found("b", useless_mass=0.03, coef=0.04)["leaked"] == (1, pytest.approx(0.03))


def test_a_coefficient_is_pinned_at_its_recorded_ceiling(found: Found) -> None:
    ceiling = {"parameters": {"controller": {"ceiling": 0.2}}}
    pinned = found("a", steps=60, coef=lambda step: min(0.2, 0.005 * step), described=ceiling)
    assert pinned["pinned"] == (40, pytest.approx(21 / 60))
    assert "pinned" in found("b", coef=0.2, described=ceiling)
    assert "pinned" not in found("c", coef=lambda step: min(0.15, 0.005 * step), described=ceiling)


def test_without_a_ceiling_a_plateau_is_pinned_and_a_constant_is_not(found: Found) -> None:
    assert "pinned" in found("a", coef=lambda step: min(0.1, 0.005 * step))
    assert "pinned" not in found("b", coef=0.04)


def test_a_coefficient_of_zero_is_idle_unless_that_is_the_recipe(found: Found) -> None:
    assert set(found("aent")) == {"idle"}
    assert found("none") == {}


def test_a_run_too_short_to_judge_is_not_judged(found: Found) -> None:
    assert found(steps=9, entropy=lambda step: 0.4 / step, useless_mass=0.5) == {}


def test_numbers_that_are_not_finite_raise_no_alarm(found: Found) -> None:
    assert found(entropy=float("nan"), clamped_entropy=float("nan"), coef=0.04) == {}


def test_swings_by_a_factor_of_two_in_turn_are_an_oscillation(found: Found) -> None:
    def wave(size: float) -> Callable[[int], float]:
        return lambda step: 0.4 + size * math.sin(step / 6)

    step, swings = found("a", steps=120, entropy=wave(0.25), coef=0.04)["oscillated"]
    assert 5 <= step <= 14
    assert swings == 6
    assert "oscillated" not in found("b", steps=120, entropy=wave(0.08), coef=0.04)
    assert "oscillated" not in found("c", steps=120, entropy=lambda step: 0.4 * 0.98**step, coef=0.04)


def test_a_clamp_that_removes_nothing_is_inert(found: Found) -> None:
    assert found("a", coef=0.04, kept_mass=0.999, clamped_entropy=0.399)["inert"] == (1, pytest.approx(0.001))
    assert found("b", coef=0.04, kept_mass=0.95, clamped_entropy=0.3) == {}
    assert found("c", coef=0.04, kept_mass=0.999, clamped_entropy=0.3) == {}


def test_bounds_that_no_ratio_reaches_are_inert(found: Found) -> None:
    bounds = {"acts_on": "clip bounds"}
    assert set(found("clip_higher", clip_low=0.0, clip_high=0.0, described=bounds)) == {"unclipped"}
    assert found("b", clip_low=0.0, clip_high=0.01, described=bounds) == {}


def test_a_recipe_without_a_coefficient_is_not_idle(found: Found) -> None:
    assert found("a", described={"acts_on": "advantages"}) == {}
    assert found("b", bonus=-0.01, described={"acts_on": "loss term"}) == {}
    assert set(found("c", described={"acts_on": "loss term"})) == {"idle"}


@pytest.mark.parametrize(
    ("entropy", "exploded_too"),
    [
        (lambda step: 0.4 if step < 40 else 2.0, True),
        (lambda step: 0.4 + 0.3 * math.sin(step / 6), False),  # above 1.5 times its start, but it swings back
        (lambda step: 0.4, False),
    ],
)
def test_an_explosion_alone_is_found_as_among_all_findings(
    make_run: MakeRun, entropy: Callable[[int], float], exploded_too: bool
) -> None:
    (run,) = load_runs([make_run("aent", steps=120, entropy=entropy, coef=0.04)])
    assert exploded(run.curves) == exploded_too
    assert any(alarm.kind == "exploded" for alarm in alarms(run.curves)) == exploded_too
