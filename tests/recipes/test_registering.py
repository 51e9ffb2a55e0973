"""Recipes of one's own: what the decorator fills in, records and refuses."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

from entrostat import cli, controllers, edits, measures, recipes
from entrostat.jobs.settings import Job
from entrostat.recipes import Paper, Recipe, recipe

HERS = Paper(title="On Floors", authors="Ada Lovelace", year=2027, url="https://example.org", bibtex="@misc{ada2027}")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    kept = dict(recipes.RECIPES)
    yield
    recipes.RECIPES.clear()
    recipes.RECIPES.update(kept)


def test_the_decorator_fills_in_the_usual_parts() -> None:
    @recipe(acts_on="clip bounds", paper=HERS, needs={"old_logprobs"}, ratio_only=True)
    def wide(*, high: float = 0.3) -> Recipe:
        """Wide bounds."""
        return Recipe(edits=(edits.ClipBounds(high=high),))

    built = wide(high=0.4)
    assert recipes.get("wide") is wide
    assert (built.name, built.summary, built.paper) == ("wide", "Wide bounds.", HERS)
    assert (built.measure, built.controller) == (measures.Shannon(), controllers.Constant(coef=0.0))
    assert (built.needs, built.ratio_only) == ({"old_logprobs"}, True)
    assert built.parameters == {"high": 0.4}
    assert wide().parameters == {"high": 0.3}, "a default is recorded too"
    assert list(inspect.signature(wide).parameters) == ["high"]
    assert inspect.signature(wide).return_annotation == "Recipe"
    assert Job().with_recipes(["wide"]).recipes[0].build() == wide()


def test_needs_may_depend_on_settings_and_resolved_values_are_recorded() -> None:
    @recipe(acts_on="loss term", needs={"rewards"})
    def picky(*, width: float | None = None, long: bool = False) -> Recipe:
        """Needs more when it is long."""
        return Recipe(
            needs=frozenset({"total_steps"}) if long else frozenset(),
            parameters={"width": 0.2 if width is None else width},
        )

    assert picky().needs == {"rewards"}
    assert picky(long=True).needs == {"rewards", "total_steps"}
    assert picky().parameters == {"width": 0.2, "long": False}


def test_a_name_is_registered_once() -> None:
    def mine() -> Recipe:
        """A name that is taken."""
        return Recipe()

    mine.__name__ = "aent"
    with pytest.raises(ValueError, match=r"'aent' already, by .*_aent\.py"):
        recipe(acts_on="nothing")(mine)
    assert recipes.get("aent") is recipes.aent


def test_every_recipe_of_the_package_is_exported() -> None:
    registered = {name for name, function in recipes.RECIPES.items() if function.__module__.startswith("entrostat.")}
    assert registered <= set(recipes.__all__), "run docs/make_exports.py"
    assert all(getattr(recipes, name) is recipes.get(name) for name in registered)


def test_the_same_lines_may_run_again() -> None:
    first, again = (define() for _ in range(2))
    assert first is not again
    assert recipes.get("repeated") is again


def define() -> object:
    @recipe(acts_on="nothing")
    def repeated() -> Recipe:
        """As when a cell is run again."""
        return Recipe()

    return repeated


def test_an_incomplete_registration_is_rejected() -> None:
    def silent() -> Recipe:
        return Recipe()

    with pytest.raises(ValueError, match="`summary` must be given, or the docstring of 'silent' begin with one"):
        recipe(acts_on="nothing")(silent)
    with pytest.raises(ValueError, match=r"unknown paper 'shen2025entropie'.*Did you mean 'shen2025entropy'"):
        recipe(acts_on="nothing", paper="shen2025entropie")
    with pytest.raises(ValueError, match="unknown need"):
        recipe(acts_on="nothing", needs={"telepathy"})


def test_a_recipe_that_the_embedded_job_cannot_build_is_listed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    @recipe(acts_on="loss term", needs={"rewards"})
    def entropy_floor(*, coef: float, target: float) -> Recipe:
        """A floor without a default."""
        return Recipe()

    recipes.RECIPES["bare"] = lambda *, coef: Recipe()
    about = recipes.describe("entropy_floor")
    assert (about["embedded"], about["needs"]) == (None, ["rewards"])
    cli.app(["recipes", "--json"], standalone_mode=False)
    listed = json.loads(capsys.readouterr().out)
    assert {"entropy_floor", "bare", "aent"} <= {entry["name"] for entry in listed}
    cli.app(["recipes"], standalone_mode=False)
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "(no settings for the embedded job) A floor without a default." in lines["entropy_floor"]
    assert "no settings" not in lines["siren"]
    with pytest.raises(ValueError, match="needs `coef`, `target`"):
        Job().with_recipes(["entropy_floor"]).recipes[0].build()


def test_every_paper_is_read_whole_and_named_by_a_recipe() -> None:
    text = files("entrostat.recipes").joinpath("references.bib").read_text(encoding="utf-8")
    assert not re.findall(r"^(?!%|@\w+\{\w+,$|  \w+ += \{.*\},$|\}$|$).*", text, re.MULTILINE), "one field per line"
    keys = re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE)
    assert len(keys) == len(set(keys)), "each key once"
    cited = {paper.bibtex for name in recipes.names() if (paper := recipes.get(name)(**settings(name)).paper)}
    assert len(cited) == len(keys), "an entry that no recipe names"
    dapo, cispo = recipes.clip_higher().paper, recipes.cispo(high=1.0).paper
    assert dapo is not None
    assert (dapo.authors, dapo.year) == ("Qiying Yu and others", 2025)
    assert dapo.title == "DAPO: An Open-Source LLM Reinforcement Learning System at Scale"
    assert cispo is not None
    assert cispo.authors == "MiniMax"
    assert {one for entry in cited for one in re.findall(r"\{", entry)}, "the entries keep their braces"


def settings(name: str) -> dict[str, object]:
    return dict(recipes.embedded(name).get("parameters", {}))
