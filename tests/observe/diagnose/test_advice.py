from __future__ import annotations

import math
import random
import re

import pytest

import entrostat as es
from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import Alarm
from entrostat.observe.diagnose import diagnose_curves
from entrostat.observe.diagnose._advice import _ANSWERS, advise
from entrostat.observe.diagnose._diagnosis import finding_sentence
from entrostat.observe.report._sentences import WARNINGS

CURVES = Curves(
    name="mine",
    values={"entropy": [(s, 0.5) for s in range(1, 41)], "coef": [(s, 0.01) for s in range(1, 41)]},
    parameters={"controller": {"rate": 0.02}},
)


@pytest.mark.parametrize("kind", list(_ANSWERS))
@pytest.mark.parametrize("coef", [True, False])
def test_each_advice_is_a_recipe_that_can_be_built_and_run(kind: str, coef: bool) -> None:
    curves = CURVES if coef else Curves(name="plain", values={"entropy": CURVES.values["entropy"]})
    (advice,) = advise(curves, [Alarm(kind, 3, 5.0)], start=0.5)
    recipe = eval(advice.python, {"es": es})
    assert recipe.name == advice.recipe
    named = re.findall(r"--recipe (\w+)", advice.command)
    assert set(named) <= set(es.recipes.names())
    assert advice.recipe in named


def test_every_finding_has_words_and_advice() -> None:
    assert set(_ANSWERS) == set(WARNINGS)
    for kind in _ANSWERS:
        assert finding_sentence(Alarm(kind, 3, 5.0), CURVES)


def test_the_band_comes_from_the_runs_own_entropy() -> None:
    (advice,) = advise(CURVES, [Alarm("collapsed", 3, 0.1)], start=2.0)
    assert "low=1.1, high=1.7" in advice.python


def test_a_pinned_collapse_raises_the_ceiling_once() -> None:
    found = advise(CURVES, [Alarm("collapsed", 3, 0.1), Alarm("pinned", 9, 0.5)], start=0.5)
    assert [advice.finding for advice in found] == ["pinned"]
    assert "ceiling=0.03" in found[0].python


def test_a_run_without_a_finding_says_so_and_gets_no_advice() -> None:
    found = diagnose_curves(CURVES)
    assert (found.findings, found.advice) == ([], [])
    assert "No collapse, explosion, oscillation" in found.as_text()
    assert "cannot be fitted: neither reward nor accuracy is on record" in " ".join(found.as_text().split())


def test_a_short_run_is_called_short() -> None:
    found = diagnose_curves(Curves(name="short", values={"entropy": [(1, 0.5), (2, 0.1)]}))
    assert found.short
    assert "Only 2 steps are logged; findings need at least 10" in found.as_text()


def run(reward: list[float], silent: float = 0.3) -> Curves:
    """A run whose entropy does not move."""
    values = {"entropy": [0.5] * len(reward), "reward": reward, "silent_groups": [silent] * len(reward)}
    return Curves(name="a", values={name: list(enumerate(found, start=1)) for name, found in values.items()})


def test_a_lost_reward_is_reported_even_where_entropy_is_in_order() -> None:
    lost = diagnose_curves(run([0.2] * 10 + [0.4] * 20 + [0.1] * 30))
    assert not lost.findings
    assert "The reward fell from 0.400 at its best to 0.100" in lost.as_text()
    assert lost.as_dict()["remarks"]
    for kept in ([0.2] * 10 + [0.4] * 20 + [0.3] * 30, [-1.0] * 30 + [-2.0] * 30, [0.4] * 5 + [0.0] * 4):
        assert not diagnose_curves(run(kept)).remarks


def test_groups_that_teach_nothing_are_reported() -> None:
    assert "100% of the groups had equal rewards" in diagnose_curves(run([0.0] * 20, silent=1.0)).as_text()
    assert not diagnose_curves(run([0.0] * 20, silent=0.8)).remarks


def test_the_law_is_given_with_its_interval() -> None:
    dice = random.Random(0)
    entropy = [(s, 1.2 * 0.99**s + 0.1) for s in range(1, 201)]
    reward = [(s, 0.9 - 0.2 * math.exp(h) + dice.gauss(0, 0.01)) for s, h in entropy]
    text = " ".join(diagnose_curves(Curves(name="a", values={"entropy": entropy, "reward": reward})).as_text().split())
    assert "fits the reward with a = 0.2" in text
    assert "If it keeps holding, the reward ends at 0.70" in text or "ends at 0.69" in text


def test_foreign_text_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in diagnose_curves(Curves(name="a\x1b[31mb", values=CURVES.values)).as_text()
