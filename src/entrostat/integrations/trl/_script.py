"""The training script's settings beside TRL's own, and everything of a training that needs no model."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from entrostat import recipes
from entrostat.errors import find_name, sentence, unknown_name
from entrostat.integrations.cost import meta_model, model_head_cost, parameters
from entrostat.integrations.sources import import_function
from entrostat.integrations.trl._refusals import check_recipe

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
            "help": f"How entropy is controlled: {', '.join(recipes.names())}. `entrostat recipes NAME` says more."
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
        name = "+".join(find_name("recipe", part, recipes.names()) for part in self.recipe.split("+"))
        try:
            return recipes.build(name, cast("dict[str, Any]", given or {}))
        except TypeError as error:  # in a file a value of the wrong type is the same mistake as a wrong value
            raise ValueError(str(error)) from None


@dataclass
class RewardArguments:
    """The rewards.

    Args:
        reward_funcs: reward functions: TRL's own by name, any other by dotted path.
        reward_model_name_or_path: a reward model, beside them or alone.
    """

    reward_funcs: list[str] | None = field(
        default=None,
        metadata={
            "help": f"Reward functions: {', '.join(REWARDS)}, or a dotted path such as my_package.rewards.score. "
            "The current directory is searched first."
        },
    )
    reward_model_name_or_path: str | None = field(
        default=None, metadata={"help": "A reward model: an id on the Hub or a local directory."}
    )

    def resolve(self) -> list[Any]:
        """Return the rewards as TRL's trainer takes them.

        Raises:
            ValueError: there is none, or one that cannot be found.
        """
        models: list[Any] = [self.reward_model_name_or_path] if self.reward_model_name_or_path else []
        found = models + [reward_function(name) for name in self.reward_funcs or []]
        if not found:
            raise ValueError("there is nothing to learn from: give `reward_funcs` or `reward_model_name_or_path`.")
        return found


@dataclass
class DryRunArguments:
    """Whether to check the settings instead of training.

    Args:
        dry_run: check only.
        dry_run_gpus: number of GPUs that the training will have; the batch depends on it.
    """

    dry_run: bool = field(
        default=False, metadata={"help": "Check everything that needs no GPU, print what the head costs, and stop."}
    )
    dry_run_gpus: int = field(default=1, metadata={"help": "GPUs of the training (with --dry_run)."})


def reward_function(name: str) -> Callable[..., Any]:
    """Return a reward function by TRL's name or by dotted path.

    Raises:
        ValueError: there is no such function.

    Example:
        >>> reward_function("think_format_reward").__name__
        'think_format_reward'
    """
    if name in REWARDS:
        function = getattr(importlib.import_module("trl.rewards"), name)
        # This one makes a reward for given lengths; `trl grpo` gives it these.
        return function(1280, 256) if name == "get_soft_overlong_punishment" else function
    if "." not in name.strip("."):
        raise unknown_name("reward function", name, REWARDS)
    return import_function(name, "reward_funcs")


class Settings(NamedTuple):
    """The settings of a command line and its file; TRL's own are of TRL's classes."""

    recipe: RecipeArguments
    reward: RewardArguments
    script: Any
    training: Any
    model: Any
    mixture: Any
    dry: DryRunArguments

    def made(self) -> tuple[recipes.Recipe, list[Any]]:
        """Return the recipe and the rewards.

        Raises:
            ValueError: one of them cannot be made, or no model is named.
        """
        recipe, rewards = self.recipe.build(), self.reward.resolve()
        if self.model.model_name_or_path is None:
            raise ValueError(sentence("model_name_or_path", "be given", None))
        return recipe, rewards

    def dataset(self) -> Any:
        """Return the splits of the dataset.

        Raises:
            ValueError: none is named, or there is none of that name.
            ConnectionError: it is not on this machine, and the Hub cannot be reached.
        """
        if self.mixture.datasets:
            from trl.scripts.utils import get_dataset

            return get_dataset(self.mixture)
        if self.script.dataset_name is None:
            raise ValueError("there is nothing to train on: give `dataset_name`, or `datasets` in the file.")
        from datasets import load_dataset

        name = self.script.dataset_name
        rule = "be a directory that is here, or a dataset on the Hub"
        try:
            return load_dataset(name, name=self.script.dataset_config, streaming=self.script.dataset_streaming)
        except (ConnectionError, FileNotFoundError) as error:
            kind = ConnectionError if isinstance(error, ConnectionError) else ValueError
            raise kind(sentence("dataset_name", rule, name, f"{error}.")) from None


def split_of(dataset: Any, name: str) -> Any:
    """Return a split of a dataset; raises `ValueError` if there is none of that name."""
    if name not in dataset:
        raise unknown_name("split of the dataset", name, dataset)
    return dataset[name]


def check(settings: Settings) -> list[str]:
    """Check everything that needs no GPU and loads nothing but the dataset; return the answer line by line.

    Raises:
        ValueError: the training could not start, or the model's config cannot be had.
    """
    recipe, rewards = settings.made()
    notes = _check_dataset(settings)
    args, options = settings.training, settings.model
    model = meta_model(options.model_name_or_path, trust_remote_code=args.trust_remote_code)
    check_recipe(recipe, args, model)
    cost = model_head_cost(
        model,
        args.per_device_train_batch_size * args.max_completion_length,
        weights=options.dtype if options.dtype in ("bfloat16", "float16") else "float32",
        compute="float16" if args.fp16 else "bfloat16" if args.bf16 else "float32",
        trained=not options.use_peft,
    )
    count = parameters(model)
    trained = f", {_adapter_parameters(model, options):,} trained" if options.use_peft else ""
    notes.append("Not checked: the tokenizer, the lengths of the prompts, and whether the reward takes this dataset.")
    if args.bf16 or args.fp16:
        notes.append(f"Not checked: whether the GPUs compute in {'bf16' if args.bf16 else 'fp16'}.")
    if args.use_vllm and importlib.util.find_spec("vllm") is None:
        notes.append("Not checked: vLLM, which is not installed here.")
    return [
        f"recipe {recipe.name}, {len(rewards)} reward(s), {args.world_size} GPU(s)",
        f"{options.model_name_or_path}: {count:,} parameters{trained}; {cost.sentence}",
        *notes,
    ]


def _check_dataset(settings: Settings) -> list[str]:
    """Refuse a dataset that TRL could not train on; return a note if it is out of reach."""
    try:
        dataset = settings.dataset()
    except ConnectionError as error:
        return [f"Not checked: the dataset. {error}"]
    split = split_of(dataset, settings.script.dataset_train_split)
    if "prompt" not in (split.column_names or ["prompt"]):
        raise unknown_name("column: TRL reads `prompt`, which is not among the", "prompt", split.column_names)
    return []


def _adapter_parameters(model: Any, options: Any) -> int:
    """Return the size of the adapter; raises `ValueError` if it fits no layer of the model."""
    peft_config = importlib.import_module("trl").get_peft_config(options)
    try:
        adapted = importlib.import_module("peft").get_peft_model(model, peft_config)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"`lora_target_modules` fit no layer of this model: {reason}") from None
    return sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
