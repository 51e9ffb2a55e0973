"""The recipes that act on rollouts and advantages: published defaults, what they need, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from entrostat import controllers, edits, recipes, terms


@pytest.mark.parametrize(
    ("name", "given", "needs"),
    [
        ("entropy_advantage", {}, set[str]()),
        ("high_entropy_tokens", {}, set[str]()),
        ("entrocraft", {"low": 0.3, "high": 0.4}, {"old_entropy", "group_ids"}),
        ("entrocraft", {"low": 0.3, "high": 0.4, "normalise": "batch"}, {"old_entropy"}),
        ("entrocraft", {"low": 0.3, "high": 0.4, "low_end": 0.2}, {"old_entropy", "group_ids", "total_steps"}),
        ("entrocraft", {"low": 0.3, "high": 0.4, "raw_rewards": True}, {"old_entropy", "rewards"}),
        ("stare", {}, {"old_entropy"}),
        ("cde", {}, {"old_entropy", "rewards", "group_ids"}),
        ("cde", {"stairs": [[0, 1], [0.5, 0]]}, {"old_entropy", "rewards", "group_ids", "total_steps"}),
        ("ucas", {}, {"old_entropy", "logit_stats", "group_ids"}),
        ("rent", {}, {"old_entropy", "group_ids"}),
        ("em_rl", {}, {"old_entropy", "group_ids"}),
        ("em_rl", {"variant": "ft"}, set[str]()),
        ("era", {}, {"old_entropy", "logit_scale"}),
        ("aepo", {}, {"redraw"}),
    ],
)
def test_needs_of_a_host(name: str, given: dict[str, Any], needs: set[str]) -> None:
    recipe = recipes.build(name, given)
    assert recipe.needs == needs
    assert not recipe.ratio_only, "all of them act with one update per rollout batch"


def test_stare_s_laws() -> None:
    fixed = recipes.stare(variant="C2", rise=1.05, fall=0.95)
    assert fixed.controller == controllers.Relay(threshold=0.3, below=0.05, above=0.0)
    (weights,) = fixed.edits
    assert isinstance(weights, edits.SurprisalWeights)
    assert weights.falls == pytest.approx(1.0)
    law = recipes.stare(adaptive=True).controller
    assert law == controllers.Step(target=0.3, delta=0.01, floor=0.0, ceiling=0.5, initial=0.1)
    assert law.coefficient(law.init()) == 0.1, "the gate is open before the first measurement"


def test_aepo_s_numbers_are_the_code_s() -> None:
    recipe = recipes.aepo()
    assert recipe.controller == controllers.Relay(threshold=0.5, below=1.2, above=0.8, inclusive=True)
    assert recipe.signal == terms.Surprisal()
    assert recipe.redraw == recipes.Redraw(share=0.25, threshold=0.05, limit=60 / 2560, limit_cooling=30 / 2560)
    assert recipe.redraw.prompts(512) == 128
    assert (recipe.redraw.most(2560, cooling=False), recipe.redraw.most(2560, cooling=True)) == (60, 30)
    scope = recipes.aepo(variant="scope", target=0.25)
    assert isinstance(scope.controller, controllers.Proportional)
    assert scope.redraw == recipes.Redraw(judge="reward", threshold=0.5, limit=1 / 64, limit_cooling=1 / 64)


def test_entropy_minimisation_s_three_forms() -> None:
    assert recipes.em_rl().rollout_edits == (edits.SelfReward(reward="logprob", baseline="leave_one_out"),)
    token = recipes.em_rl(variant="token").rollout_edits
    assert token == (edits.SelfReward(reward="sum_entropy", baseline="leave_one_out"),)
    tuned = recipes.em_rl(variant="ft", coef=0.5)
    assert tuned.terms == (terms.ResponseEntropy(),)
    assert tuned.edits == (edits.ScaleAdvantage(factor=0.0),)
    assert tuned.controller == controllers.Constant(coef=0.5)


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (recipes.era(), recipes.clip_higher(), "both set clip_high, clip_low"),
        (recipes.rent(), recipes.cde(), "both set advantages"),
        (recipes.stare(), recipes.aepo(), "both steer a coefficient"),
        (recipes.rent(), recipes.aepo(), "an advantage of 1, which 'rent' would replace"),
    ],
)
def test_contradictions_are_rejected(first: recipes.Recipe, second: recipes.Recipe, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        first.plus(second)


def test_a_gate_keeps_its_fresh_window_beside_another_s_edits() -> None:
    both = recipes.high_entropy_tokens().plus(recipes.stare())
    assert (both.window, len(both.edits), both.controller) == ("fresh", 2, recipes.stare().controller)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("entrocraft", {}, "needs `low`, `high`"),
        ("entrocraft", {"low": 0.4, "high": 0.3}, "`low` must be at most"),
        ("stare", {"rise": 1.0}, "`rise` must be above 1"),
        ("stare", {"fall": 1.1}, "`fall` must lie in"),
        ("stare", {"variant": "C1"}, "unknown variant 'C1'"),
        ("stare", {"adaptive": True, "most": 1.05}, "`most` must be at least"),
        ("cde", {"stairs": [[0.1, 1]]}, "`stairs` must be pairs"),
        ("ucas", {"confidence": "max"}, "unknown confidence"),
        ("em_rl", {"variant": "sequences"}, "Did you mean 'sequence'"),
        ("em_rl", {"variant": "ft", "coef": 0.0}, "`coef` must be positive"),
        ("em_rl", {"coef": 0.5}, "`coef` must be left at 1"),
        ("era", {"low": 3.0, "high": 1.0}, "`high` must be at least"),
        ("era", {"clip": 2.0}, "`clip` must lie in"),
        ("aepo", {"cold": 0.0}, "`cold` must be positive"),
        ("aepo", {"hot": 0.7}, "`hot` must be at least"),
        ("aepo", {"variant": "scoop"}, "Did you mean 'scope'"),
        ("aepo", {"share": 0.0}, "`share` must lie in"),
        ("aepo", {"limit": 0.0}, "`limit` must lie in"),
    ],
)
def test_wrong_settings_are_rejected(name: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        recipes.build(name, given)
