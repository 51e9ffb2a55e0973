"""What the training script takes beside TRL's own settings: the recipe, the rewards, a dry run."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from entrostat import recipes
from entrostat.errors import sentence, unknown_name

REWARDS = (
    "accuracy_reward",
    "get_soft_overlong_punishment",
    "reasoning_accuracy_reward",
    "think_format_reward",
)
"""TRL's own reward functions, by the names `trl grpo` gives them."""


@dataclass
class RecipeArguments:
    """How entropy is controlled.

    Args:
        recipe: name of a recipe.
        recipe_parameters: its parameters; in a file a mapping, as a flag the same as JSON.
    """

    recipe: str = field(
        metadata={
            "help": f"How entropy is controlled: {', '.join(recipes.names())}. `entrostat recipes NAME` tells more."
        }
    )
    recipe_parameters: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": 'The recipe\'s parameters: a mapping in the file, or JSON: \'{"low": 0.15, "high": 0.24}\'.'},
    )

    def build(self) -> recipes.Recipe:
        """Return the recipe.

        Raises:
            ValueError: an unknown name or parameter, one that is missing or out of range, text that is not JSON.
        """
        try:
            return recipes.build(self.recipe, self._parameters())
        except TypeError as error:  # a value of the wrong kind, which in a file is as much a slip as a wrong value
            raise ValueError(str(error)) from None

    def _parameters(self) -> dict[str, Any]:
        given: Any = self.recipe_parameters
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except json.JSONDecodeError as error:
                raise ValueError(
                    sentence("recipe_parameters", "be JSON", self.recipe_parameters, f"It fails with: {error}.")
                ) from None
        if given is not None and not isinstance(given, dict):
            raise ValueError(sentence("recipe_parameters", "be a mapping of names to values", given))
        return cast("dict[str, Any]", given or {})


@dataclass
class DryRunArguments:
    """Whether to check the settings and plan the memory instead of training.

    Args:
        dry_run: check and plan only.
        dry_run_gpus: GPUs of the plan.
        dry_run_gpu_memory: GiB of each.
        dry_run_sharding: how they share the work.
    """

    dry_run: bool = field(default=False, metadata={"help": "Check everything, print the plan of memory, and stop."})
    dry_run_gpus: int = field(default=1, metadata={"help": "GPUs of the plan."})
    dry_run_gpu_memory: float = field(default=80.0, metadata={"help": "GiB of one GPU of the plan."})
    dry_run_sharding: str = field(
        default="", metadata={"help": "ddp, fsdp2, zero1, zero2 or zero3; empty for ddp, or for one GPU alone."}
    )


@dataclass
class RewardArguments:
    """What is rewarded.

    Args:
        reward_funcs: reward functions: TRL's own by name, any other by dotted path.
        reward_model_name_or_path: a reward model, beside them or alone.
    """

    reward_funcs: list[str] | None = field(
        default=None,
        metadata={
            "help": f"Reward functions: {', '.join(REWARDS)}, or a dotted path such as my_package.rewards.score. "
            "The current directory is searched too."
        },
    )
    reward_model_name_or_path: str | None = field(
        default=None, metadata={"help": "A reward model: an id on the Hub or a local directory."}
    )

    def resolve(self) -> list[Any]:
        """Return what TRL's trainer takes as its rewards.

        Raises:
            ValueError: there is none, or one that cannot be found.
        """
        models: list[Any] = [self.reward_model_name_or_path] if self.reward_model_name_or_path else []
        found = models + [reward_function(name) for name in self.reward_funcs or []]
        if not found:
            raise ValueError("there is nothing to learn from: give `reward_funcs` or `reward_model_name_or_path`.")
        return found


def reward_function(name: str) -> Callable[..., Any]:
    """Return a reward function by TRL's name or by dotted path.

    Raises:
        ValueError: nothing callable is there.

    Example:
        >>> reward_function("think_format_reward").__name__
        'think_format_reward'
    """
    if name in REWARDS:
        function = getattr(importlib.import_module("trl.rewards"), name)
        # This one makes a reward for given lengths; `trl grpo` gives it these.
        return function(1280, 256) if name == "get_soft_overlong_punishment" else function
    module, _, attribute = name.rpartition(".")
    if not module:
        raise unknown_name("reward function", name, REWARDS)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            sentence("reward_funcs", "name functions that can be imported", name, f"It fails with: {error}.")
        ) from None
    if not callable(function):
        raise ValueError(sentence("reward_funcs", "name functions", name))
    return function
