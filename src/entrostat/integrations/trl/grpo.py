"""Train with GRPO and a recipe from a file of settings or from flags: `trl grpo` with two flags more.

    accelerate launch -m entrostat.integrations.trl.grpo --config job.yaml
    python -m entrostat.integrations.trl.grpo --model_name_or_path MODEL --dataset_name DATASET \
        --reward_funcs my_package.rewards.score --recipe aent --recipe_parameters '{"low": 0.15, "high": 0.24}'

where `job.yaml` holds the same names, parameters as a mapping:

    model_name_or_path: Qwen/Qwen2.5-1.5B
    dataset_name: openai/gsm8k
    reward_funcs: [my_package.rewards.score]
    recipe: aent
    recipe_parameters: {low: 0.15, high: 0.24}
    learning_rate: 1.0e-6

A flag overrules the file. All of TRL's own settings are there (`--help`). Input that cannot work is refused in one
sentence before anything is trained, with exit code 2.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from entrostat import recipes
from entrostat.errors import sentence, unknown_name
from entrostat.integrations.trl import EntropyGRPOTrainer

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


def parse(arguments: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Return the settings of a command line and the file it names, in the order `make_trainer` takes them."""
    trl = _trl()
    kinds: tuple[Any, ...] = (
        RecipeArguments, RewardArguments, trl.ScriptArguments, trl.GRPOConfig, trl.ModelConfig,
        trl.DatasetMixtureConfig,
    )  # fmt: skip
    parser = trl.TrlParser(kinds, prog="python -m entrostat.integrations.trl.grpo", description=_DESCRIPTION)
    # `parse_args_and_config` takes --config away before argparse sees it; it is named here for --help.
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings under the names of the flags.")
    *settings, _ = parser.parse_args_and_config(arguments)
    return tuple(settings)


_DESCRIPTION = "GRPO with entropy control: all settings of `trl grpo`, and a recipe."


def make_trainer(
    recipe_args: RecipeArguments,
    reward_args: RewardArguments,
    script_args: Any,
    training_args: Any,
    model_args: Any,
    dataset_args: Any,
) -> EntropyGRPOTrainer:
    """Return the trainer that the settings describe.

    Raises:
        ValueError: settings that are missing, unknown, out of range or at odds with each other.
        OSError: a model or dataset that cannot be found.
    """
    trl = _trl()
    recipe, rewards = recipe_args.build(), reward_args.resolve()
    if model_args.model_name_or_path is None:
        raise ValueError(sentence("model_name_or_path", "be given", None))
    training_args.model_init_kwargs = {
        "revision": model_args.model_revision,
        "attn_implementation": model_args.attn_implementation,
        "dtype": model_args.dtype,
        "trust_remote_code": getattr(training_args, "trust_remote_code", False),
        **(training_args.model_init_kwargs or {}),
    }
    dataset = _dataset(script_args, dataset_args)
    evaluates = training_args.eval_strategy != "no"
    return EntropyGRPOTrainer(
        model=model_args.model_name_or_path,
        reward_funcs=rewards,
        args=training_args,
        train_dataset=_split(dataset, script_args.dataset_train_split),
        eval_dataset=_split(dataset, script_args.dataset_test_split) if evaluates else None,
        quantization_config=trl.get_quantization_config(model_args),
        peft_config=trl.get_peft_config(model_args),
        recipe=recipe,
    )


def _trl() -> Any:
    # TRL fills its namespace lazily, which type checkers cannot see.
    return importlib.import_module("trl")


def _dataset(script_args: Any, dataset_args: Any) -> Any:
    if dataset_args.datasets:
        return _trl().get_dataset(dataset_args)
    if script_args.dataset_name is None:
        raise ValueError("there is nothing to train on: give `dataset_name`, or `datasets` in the file.")
    from datasets import load_dataset

    return load_dataset(
        script_args.dataset_name, name=script_args.dataset_config, streaming=script_args.dataset_streaming
    )


def _split(dataset: Any, name: str) -> Any:
    if name not in dataset:
        raise unknown_name("split of the dataset", name, dataset)
    return dataset[name]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as told; on input that cannot work, say so in one sentence and exit with 2."""
    try:
        settings = parse(arguments)
        trainer = make_trainer(*settings)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    training_args = settings[3]
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
    trainer.save_model(training_args.output_dir)
    trainer.accelerator.print(f"Trained; the model is in {training_args.output_dir}.")
    if training_args.push_to_hub:
        trainer.push_to_hub(dataset_name=settings[2].dataset_name)
    if hasattr(trainer, "end"):  # transformers 5.18: trackers and the process group are closed by it
        cast("Any", trainer).end()


if __name__ == "__main__":
    main()
