"""One line of the comparison: a recipe, its parameters, and what it is combined with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrostat.errors import require, sentence
from entrostat.recipes import Recipe, build

RESERVED = set('/\\:*?"<>| ')
"""Characters a label may not have: it names a directory."""


@dataclass(frozen=True, kw_only=True)
class RecipeJob:
    """One line of the comparison.

    Args:
        name: a registered recipe.
        label: how it is called in this job and on disk; its name if empty. Two lines may share a name, not a label.
        parameters: passed to the recipe.
        plus: recipes combined with it, each a table of `name` and, if need be, `parameters`.
        train: fields of `[train]` that differ for this line.
    """

    name: str
    label: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    plus: tuple[Mapping[str, Any], ...] = ()
    train: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        object.__setattr__(self, "plus", tuple(self.plus))
        for part in self.plus:
            if not isinstance(part, Mapping) or "name" not in part or part.keys() - {"name", "parameters"}:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(sentence("plus", "hold tables of `name` and `parameters`", part))
        object.__setattr__(self, "label", self.label or self.recipe)
        bad = not self.label.strip(".") or bool(RESERVED & set(self.label)) or not self.label.isprintable()
        require(not bad, "label", "be a plain word that can name a directory", self.label)

    @property
    def recipe(self) -> str:
        """Name of the recipe, or of the combination."""
        return "+".join([self.name, *(part["name"] for part in self.plus)])

    def build(self) -> Recipe:
        """Return the recipe; raises for an unknown name or a parameter it refuses."""
        try:
            recipe = build(self.name, dict(self.parameters))
            for part in self.plus:
                recipe = recipe.plus(build(part["name"], dict(part.get("parameters", {}))))
            return recipe
        except (ValueError, TypeError) as error:
            raise type(error)(f"recipe {self.label!r}: {error}") from None
