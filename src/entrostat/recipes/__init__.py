"""Recipes: one published system per file, as a value that names its parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from entrostat.errors import sentence, unknown_name
from entrostat.recipes import _describe
from entrostat.recipes._adrpo import adrpo as adrpo
from entrostat.recipes._aent import aent as aent
from entrostat.recipes._aepo import aepo as aepo
from entrostat.recipes._aer import aer as aer
from entrostat.recipes._base import HOST_OFFERS as HOST_OFFERS
from entrostat.recipes._base import InertRecipeWarning as InertRecipeWarning
from entrostat.recipes._base import Paper as Paper
from entrostat.recipes._base import Recipe as Recipe
from entrostat.recipes._cde import cde as cde
from entrostat.recipes._ce_gppo import ce_gppo as ce_gppo
from entrostat.recipes._cispo import cispo as cispo
from entrostat.recipes._clip_cov import clip_cov as clip_cov
from entrostat.recipes._clip_higher import clip_higher as clip_higher
from entrostat.recipes._em_rl import em_rl as em_rl
from entrostat.recipes._entrocraft import entrocraft as entrocraft
from entrostat.recipes._entropic import entropic as entropic
from entrostat.recipes._entropy_advantage import entropy_advantage as entropy_advantage
from entrostat.recipes._entropy_bonus import entropy_bonus as entropy_bonus
from entrostat.recipes._era import era as era
from entrostat.recipes._erc import erc as erc
from entrostat.recipes._espo import espo as espo
from entrostat.recipes._flexible_clipping import flexible_clipping as flexible_clipping
from entrostat.recipes._gppo import gppo as gppo
from entrostat.recipes._gspo import gspo as gspo
from entrostat.recipes._high_entropy_tokens import high_entropy_tokens as high_entropy_tokens
from entrostat.recipes._kl_cov import kl_cov as kl_cov
from entrostat.recipes._none import none as none
from entrostat.recipes._redraw import Redraw as Redraw
from entrostat.recipes._rent import rent as rent
from entrostat.recipes._rpg import rpg as rpg
from entrostat.recipes._siren import siren as siren
from entrostat.recipes._skywork import skywork as skywork
from entrostat.recipes._stare import stare as stare
from entrostat.recipes._tre import tre as tre
from entrostat.recipes._ucas import ucas as ucas

RECIPES: dict[str, Callable[..., Recipe]] = {
    "adrpo": adrpo,
    "aent": aent,
    "aepo": aepo,
    "aer": aer,
    "cde": cde,
    "ce_gppo": ce_gppo,
    "cispo": cispo,
    "clip_cov": clip_cov,
    "clip_higher": clip_higher,
    "em_rl": em_rl,
    "entrocraft": entrocraft,
    "entropic": entropic,
    "entropy_advantage": entropy_advantage,
    "entropy_bonus": entropy_bonus,
    "era": era,
    "erc": erc,
    "espo": espo,
    "flexible_clipping": flexible_clipping,
    "gppo": gppo,
    "gspo": gspo,
    "high_entropy_tokens": high_entropy_tokens,
    "kl_cov": kl_cov,
    "none": none,
    "rent": rent,
    "rpg": rpg,
    "siren": siren,
    "skywork": skywork,
    "stare": stare,
    "tre": tre,
    "ucas": ucas,
}
"""Every recipe by name; in Python, call the function."""


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
    first, *others = name.split("+")
    if not others:
        return _single(name, parameters)
    tables = _tables(name, parameters)
    recipe = _single(first, tables.get(first, {}))
    for other in others:
        recipe = recipe.plus(_single(other, tables.get(other, {})))
    return recipe


def _tables(name: str, parameters: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the parameters of each recipe of a combination."""
    parts = name.split("+")
    for key, table in parameters.items():
        if key not in parts or not isinstance(table, Mapping):
            rule = f"be tables under the names {', '.join(parts)} for {name!r}"
            raise ValueError(sentence("parameters", rule, {key: table}))
    return parameters


def _single(name: str, parameters: Mapping[str, Any]) -> Recipe:
    factory = get(name)
    known = inspect.signature(factory).parameters
    for parameter in parameters:
        if parameter not in known:
            raise unknown_name(f"parameter of recipe {name!r}", parameter, known)
    if missing := [key for key, value in known.items() if value.default is value.empty and key not in parameters]:
        raise ValueError(
            f"recipe {name!r} needs {', '.join(f'`{key}`' for key in missing)}, which it has no default for."
        )
    return factory(**parameters)


def describe(name: str) -> dict[str, Any]:
    """Return what there is to say about a recipe: summary, paper, parameters with defaults, BibTeX.

    Raises:
        ValueError: no recipe has this name.

    Example:
        >>> describe("aent")["parameters"]["rate"]["default"]
        0.002
    """
    return _describe.describe(name, get(name))


__all__ = [
    "HOST_OFFERS",
    "RECIPES",
    "InertRecipeWarning",
    "Paper",
    "Recipe",
    "Redraw",
    "adrpo",
    "aent",
    "aepo",
    "aer",
    "build",
    "cde",
    "ce_gppo",
    "cispo",
    "clip_cov",
    "clip_higher",
    "describe",
    "em_rl",
    "entrocraft",
    "entropic",
    "entropy_advantage",
    "entropy_bonus",
    "era",
    "erc",
    "espo",
    "flexible_clipping",
    "get",
    "gppo",
    "gspo",
    "high_entropy_tokens",
    "kl_cov",
    "names",
    "none",
    "rent",
    "rpg",
    "siren",
    "skywork",
    "stare",
    "tre",
    "ucas",
]
