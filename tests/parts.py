"""Examples of the parts that recipes are made of, so that the contracts test a new part without a list of them all."""

from __future__ import annotations

import inspect
from typing import Any

from entrostat import Recipe, recipes


def kinds(package: Any, protocol: type) -> list[type]:
    """Return the public classes of a package that have the members of a protocol."""
    # `issubclass` knows protocols of methods only, and every class is callable: look at the classes themselves.
    wanted = {name for name in vars(protocol) if name == "__call__" or not name.startswith("_")}
    public = [getattr(package, name) for name in package.__all__]
    classes = [each for each in public if inspect.isclass(each) and not getattr(each, "_is_protocol", False)]
    return [kind for kind in classes if all(any(name in vars(base) for base in kind.__mro__) for name in wanted)]


def at_its_defaults(kind: type) -> Any:
    """Return an instance made without settings; None where the class asks for some."""
    required = [each for each in inspect.signature(kind).parameters.values() if each.default is each.empty]
    return None if required else kind()


def in_a_recipe(kind: type, field: str) -> Any:
    """Return an instance as some recipe holds it in `edits`, `rollout_edits` or `terms`; None where none does."""
    held = [part for recipe in built().values() for part in getattr(recipe, field)]
    return next((part for part in held if type(part) is kind), None)


def built() -> dict[str, Recipe]:
    """Return every recipe as the embedded job builds it; one that it cannot build has a test that says so."""
    described = {name: recipes.describe(name)["embedded"] for name in recipes.names()}
    return {
        name: recipes.build(name, settings.get("parameters", {}))
        for name, settings in described.items()
        if settings is not None
    }
