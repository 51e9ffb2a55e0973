"""Recipes by name: built from the settings of a file, and described in words read off their own docstrings."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from entrostat.errors import sentence, unknown_name
from entrostat.recipes._base import DECLARED, RECIPES, Declaration, Embedded, Recipe

__all__ = ["build", "describe", "embedded", "get", "names"]


def names() -> list[str]:
    """Return the names of all recipes, sorted.

    Example:
        >>> "aent" in names()
        True
    """
    return sorted(RECIPES)


def get(name: str) -> Callable[..., Recipe]:
    """Return the function that builds the recipe of this name.

    Raises:
        ValueError: no recipe has this name; the nearest one is suggested.

    Example:
        >>> get("aent")(low=0.1, high=0.2).name
        'aent'
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]


def build(name: str, parameters: Mapping[str, Any]) -> Recipe:
    """Build a recipe from a name and parameters as a file of settings gives them.

    Args:
        name: a recipe, or several joined by `+`.
        parameters: its own; of a combination, a table under the name of each recipe that is given any.

    Raises:
        ValueError: an unknown name or parameter (the nearest is suggested), a missing one, or a value out of range;
            recipes that contradict each other.

    Example:
        >>> build("entropy_bonus", {"coef": 0.01}).name
        'entropy_bonus'
        >>> build("aent+clip_higher", {"aent": {"low": 0.15, "high": 0.24}}).name
        'aent+clip_higher'
    """
    parts = name.split("+")
    tables = parameters if len(parts) > 1 else {name: parameters}
    for key, table in tables.items():
        if key not in parts or not isinstance(table, Mapping):
            rule = f"be tables under the names {', '.join(parts)} for {name!r}"
            raise ValueError(sentence("parameters", rule, {key: table}))
    return functools.reduce(Recipe.plus, [_single(part, tables.get(part, {})) for part in parts])


def _single(name: str, parameters: Mapping[str, Any]) -> Recipe:
    function = get(name)
    known = inspect.signature(function).parameters
    for parameter in parameters:
        if parameter not in known:
            raise unknown_name(f"parameter of recipe {name!r}", parameter, known)
    if missing := [key for key, value in known.items() if value.default is value.empty and key not in parameters]:
        raise ValueError(
            f"recipe {name!r} needs {', '.join(f'`{key}`' for key in missing)}, which it has no default for."
        )
    return function(**parameters)


def embedded(name: str) -> Embedded:
    """Return what a recipe is run with on the embedded job: `parameters` of its own, and fields of `train`.

    These suit the embedded model; they are starting points, not results. What is not named runs at its default.

    Raises:
        ValueError: no recipe has this name.

    Example:
        >>> embedded("siren")["parameters"]
        {'beta': 0.1}
    """
    get(name)
    return DECLARED.get(name, Declaration()).embedded


def describe(name: str) -> dict[str, Any]:
    """Return a recipe in words and numbers, for pages and lists.

    Returns:
        `name`, `summary`, `acts_on`, `paper`, `url`, `bibtex`; `text`, the equations and what they mean; `how_sure`, a
        paragraph; `parameters`, each with `required`, `default` (None where there is none) and `text`; `needs`, as the
        embedded job builds it; `embedded`, its settings there, None where the recipe cannot be built without more.

    Raises:
        ValueError: no recipe has this name.

    Example:
        >>> describe("aent")["parameters"]["rate"]["default"]
        0.002
    """
    function, declared = get(name), DECLARED.get(name, Declaration())
    paper, settings, needs = declared.paper, declared.embedded, declared.needs
    try:
        needs = build(name, settings.get("parameters", {})).needs
    except (ValueError, TypeError):
        # A parameter without a default and no settings for the embedded job: that is no reason not to be described.
        settings = None
    head, *sections = re.split(
        r"^(Args|Returns|Raises|Reference|Example):\n", inspect.getdoc(function) or "", flags=re.MULTILINE
    )
    arguments = textwrap.dedent(dict(zip(sections[::2], sections[1::2], strict=True)).get("Args", ""))
    texts = dict(re.findall(r"^(\w+): (.*(?:\n +.*)*)", arguments, re.MULTILINE))
    summary, _, body = head.partition("\n")
    paragraphs = re.split(r"\n\s*\n", body.strip("\n"))
    sure = [part for part in paragraphs if part.startswith("How sure:")]
    return {
        "name": name,
        "summary": summary,
        "acts_on": declared.acts_on,
        "needs": sorted(needs),
        "url": "" if paper is None else paper.url,
        "paper": "" if paper is None else f"{paper.authors} ({paper.year}). {paper.title}. {paper.url}",
        "text": "\n\n".join(part for part in paragraphs if part not in sure).strip("\n"),
        "how_sure": " ".join(sure[0].removeprefix("How sure:").split()) if sure else "",
        "parameters": {
            key: {
                "required": value.default is value.empty,
                "default": None if value.default is value.empty else value.default,
                "text": " ".join(texts.get(key, "").split()),
            }
            for key, value in inspect.signature(function).parameters.items()
        },
        "embedded": settings if settings is None else {key: dict(value) for key, value in settings.items()},
        "bibtex": "" if paper is None else paper.bibtex,
    }
