"""The settings of a verl run: which recipe, with which parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from entrostat import recipes
from entrostat.errors import sentence, unknown_name
from entrostat.recipes import Recipe

_WINDOWS = ("rollout", "step")


@dataclass(frozen=True, kw_only=True)
class EntropyConfig:
    """The group `entrostat` of verl's configuration.

    Args:
        recipe: name of a recipe, as `entrostat recipes` lists them.
        parameters: the recipe's own settings.
        window: when the controller moves, `"step"` or `"rollout"`; None for the recipe's own.

    Raises:
        TypeError: a field of another type.
        ValueError: an unknown recipe or window, or parameters that the recipe refuses.

    Example:
        >>> EntropyConfig(recipe="aent", parameters={"low": 0.15, "high": 0.24}, window="rollout").build().window
        'rollout'
    """

    recipe: str = "none"
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    window: str | None = None

    @classmethod
    def read(cls, node: object) -> Self:
        """Return the settings that the plain content of the Hydra node holds.

        Raises:
            TypeError: the node is no mapping, or a field is of another type.
            ValueError: a field that is none of these, or as for the class.
        """
        if not isinstance(node, Mapping):
            raise TypeError(sentence("entrostat", "be a group of settings", node, "Add `+entrostat=control`."))
        settings = {str(key): value for key, value in node.items() if key != "_target_"}
        names = [each.name for each in dataclasses.fields(cls)]
        for key in settings:
            if key not in names:
                raise unknown_name("field of the group entrostat", key, names)
        return cls(**settings)

    def __post_init__(self) -> None:
        if not isinstance(self.recipe, str):
            raise TypeError(sentence("entrostat.recipe", "be the name of a recipe", self.recipe))
        if not isinstance(self.parameters, Mapping):
            remedy = "Write `+entrostat.parameters.NAME=VALUE`."
            raise TypeError(
                sentence("entrostat.parameters", "hold the recipe's settings by name", self.parameters, remedy)
            )
        if self.window is not None and not isinstance(self.window, str):
            raise TypeError(sentence("entrostat.window", "be step, rollout or null", self.window))
        if self.window is not None and self.window not in _WINDOWS:
            raise unknown_name("window", self.window, _WINDOWS)
        self.build()

    def build(self) -> Recipe:
        """Return the recipe."""
        recipe = recipes.build(self.recipe, dict(self.parameters))
        return recipe if self.window is None else dataclasses.replace(recipe, window=self.window)  # pyright: ignore[reportArgumentType]
