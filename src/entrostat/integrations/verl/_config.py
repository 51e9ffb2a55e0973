"""The settings of a verl run: which recipe, with which parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrostat import recipes
from entrostat.errors import unknown_name
from entrostat.recipes import Recipe

_WINDOWS = ("rollout", "step")


@dataclass(frozen=True, kw_only=True)
class EntropyConfig:
    """What stands under `entrostat` in verl's configuration.

    Args:
        recipe: name of a recipe, as `entrostat recipes` lists them.
        parameters: the recipe's own settings.
        window: when the controller moves, `"step"` or `"rollout"`; None for what the recipe says.

    Raises:
        ValueError: an unknown recipe or window, or parameters that the recipe refuses.

    Example:
        >>> EntropyConfig(recipe="aent", parameters={"low": 0.15, "high": 0.24}, window="rollout").build().window
        'rollout'
    """

    recipe: str = "none"
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    window: str | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window not in _WINDOWS:
            raise unknown_name("window", self.window, _WINDOWS)
        self.build()

    def build(self) -> Recipe:
        """Return the recipe."""
        recipe = recipes.build(self.recipe, dict(self.parameters))
        return recipe if self.window is None else dataclasses.replace(recipe, window=self.window)  # pyright: ignore[reportArgumentType]
