"""Recipes: the parts the papers say, from names and parameters as a file gives them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from entrostat import controllers, measures, recipes, terms
from entrostat.controllers import Annealed, Band
from entrostat.jobs.settings import Job


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_described(name: str) -> None:
    about = recipes.describe(name)
    assert about["summary"].endswith(".")
    assert about["acts_on"]
    assert all(parameter["text"] for parameter in about["parameters"].values()), "every parameter is explained"
    if about["paper"]:
        assert about["url"].startswith("https://")
        assert about["how_sure"], "a method of a paper says how sure we are of it"


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_can_be_run_by_its_name(name: str) -> None:
    about = recipes.describe(name)
    required = {key: 0.0 for key, parameter in about["parameters"].items() if parameter["required"]}
    assert about["embedded"] is not None, (
        f"the embedded job cannot build {name}: add embedded={{'parameters': {required}}}, with values that suit the "
        f"small model, to its decorator in {inspect.getsourcefile(inspect.unwrap(recipes.get(name)))}"
    )
    recipe = Job().with_recipes([name]).recipes[0].build()
    assert recipe.name == name
    assert recipe.summary == about["summary"]
    assert sorted(recipe.needs) == about["needs"]
    assert set(recipe.parameters) == set(about["parameters"]), "a record says how it was built"


def test_a_combination_is_both() -> None:
    line = Job().with_recipes(["aent+clip_higher"]).recipes[0]
    both = line.build()
    assert line.label == line.recipe == both.name == "aent+clip_higher"
    assert both.edits == recipes.clip_higher().edits
    assert both.controller == Job().with_recipes(["aent"]).recipes[0].build().controller
    assert not both.ratio_only, "its bonus acts whatever the ratio"


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("aent+entropy_bonus", "both steer a coefficient"),
        ("clip_higher+gspo", "both set clip_high, clip_low"),
        ("rent+em_rl", "both set advantages"),
        ("aent+clip_hihger", "Did you mean 'clip_higher'"),
    ],
)
def test_contradictions_are_rejected(pair: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Job().with_recipes([pair]).recipes[0].build()


def test_aent_has_the_published_defaults() -> None:
    recipe = recipes.aent(low=0.15, high=0.24)
    assert recipe.measure == measures.Clamped(clamp=0.33)
    assert recipe.controller == Band(
        low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002, warmup=30
    )
    assert recipe.terms == (terms.EntropyBonus(),)


@pytest.mark.parametrize(
    ("given", "measure"),
    [
        ({"clamp": 0.9}, measures.Clamped(clamp=0.9)),
        ({"keep": 31}, measures.TopK(k=31)),
        ({"top_p": 0.95}, measures.Nucleus(top_p=0.95)),
    ],
)
def test_aent_clamps_by_share_count_or_mass(given: dict[str, Any], measure: measures.Measure) -> None:
    assert recipes.aent(low=0.1, high=0.2, **given).measure == measure


def test_aent_anneals_on_demand() -> None:
    recipe = recipes.aent(low=0.1, high=0.2, anneal=0.3)
    assert isinstance(recipe.controller, Annealed)
    assert recipe.needs == {"total_steps"}


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("aemt", {}, "Did you mean 'aent'"),
        ("aent", {}, "needs `low`, `high`"),
        ("aent", {"low": 0.1, "high": 0.2, "clmap": 0.1}, "Did you mean 'clamp'"),
        ("aent", {"low": 0.3, "high": 0.2}, "`low`"),
        ("aent", {"low": 0.1, "high": 0.2, "clamp": 0.3, "keep": 3}, "exclude each other"),
        ("aent", {"low": 0.1, "high": 0.2, "clamp": 1.0}, r"`clamp` must lie in \[0, 1\)"),
        ("aent", {"low": 0.1, "high": 0.2, "window": "epoch"}, "window"),
        ("entropy_bonus", {}, "exactly one of"),
        ("entropy_bonus", {"coef": 0.1, "controller": controllers.Constant(coef=0.1)}, "exactly one of"),
        ("none", {"coef": 1}, "unknown parameter of recipe 'none'"),
        ("aent+clip_higer", {"aent": {"low": 0.1, "high": 0.2}}, "Did you mean 'clip_higher'"),
        ("aent+clip_higher", {"low": 0.1}, "`parameters` must be tables under the names aent, clip_higher"),
        ("aent+clip_higher", {"aent": 0.1}, "`parameters` must be tables"),
        ("aent+clip_higher", {"clip_higher": {"high": 0.3}}, "recipe 'aent' needs `low`, `high`"),
        ("aent+clip_higher", {"aent": {"low": 0.1, "high": 0.2}, "clip_higher": {"hihg": 1}}, "Did you mean 'high'"),
        ("aent+kl_cov", {"aent": {"low": 0.1, "high": 0.2}}, "kl_cov"),
        ("aent+", {"aent": {"low": 0.1, "high": 0.2}}, "unknown recipe ''"),
    ],
)
def test_wrong_settings_are_rejected(name: str, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises((ValueError, TypeError), match=says):
        recipes.build(name, parameters)


def test_a_combination_is_built_from_a_table_per_recipe() -> None:
    tables = {"aent": {"low": 0.1, "high": 0.2}, "clip_higher": {"high": 0.3}}
    both = recipes.build("aent+clip_higher", tables)
    assert both == recipes.aent(low=0.1, high=0.2).plus(recipes.clip_higher(high=0.3))
    assert recipes.build("clip_higher+high_entropy_tokens", {}).name == "clip_higher+high_entropy_tokens"


def test_a_need_no_host_could_offer() -> None:
    with pytest.raises(ValueError, match="`needs` must be among"):
        recipes.Recipe(
            name="x", summary="", measure=measures.Shannon(), controller=controllers.Constant(coef=0.0),
            needs=frozenset({"telepathy"}),
        )  # fmt: skip


def test_any_controller_goes_with_any_recipe() -> None:
    for law in (controllers.Constant(coef=0.1), controllers.Dual(target=0.3, rate=0.1, initial=0.1)):
        assert recipes.aent(low=0.1, high=0.2).with_controller(law).controller is law
