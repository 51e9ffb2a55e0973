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
sentence before anything is trained, with exit code 2. `--dry_run --dry_run_gpus 8` checks all that needs no GPU, prints
what one GPU would hold, and stops.
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
from entrostat.integrations._hosts import measure_scale
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.integrations.trl._refusals import refuse_conflicts, refuse_head

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


def parse(arguments: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Return the settings of a command line and the file it names: what `make_trainer` takes, then the dry run's."""
    trl = _trl()
    kinds: tuple[Any, ...] = (
        RecipeArguments, RewardArguments, trl.ScriptArguments, trl.GRPOConfig, trl.ModelConfig,
        trl.DatasetMixtureConfig, DryRunArguments,
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


def check(
    dry: DryRunArguments,
    recipe_args: RecipeArguments,
    reward_args: RewardArguments,
    script_args: Any,
    training_args: Any,
    model_args: Any,
    dataset_args: Any,
) -> list[str]:
    """Return the plan of the training that the settings describe, line by line; nothing is loaded but the dataset.

    Raises:
        ValueError: as `make_trainer`; a model whose config cannot be had; a plan that does not fit.
    """
    from entrostat import plan as planning

    recipe, rewards = recipe_args.build(), reward_args.resolve()
    if model_args.model_name_or_path is None:
        raise ValueError(sentence("model_name_or_path", "be given", None))
    split = _split(_dataset(script_args, dataset_args), script_args.dataset_train_split)
    if "prompt" not in (split.column_names or ["prompt"]):
        raise unknown_name("column: TRL reads `prompt`, which is not among the", "prompt", split.column_names)
    refuse_conflicts(training_args, recipe)
    model = planning.meta_model(model_args.model_name_or_path, trust_remote_code=training_args.trust_remote_code)
    shape = planning.read_shape(
        model_args.model_name_or_path, lora=_lora(model_args), trust_remote_code=training_args.trust_remote_code
    )
    measure_scale(recipe, shape.vocab, "the fused head cannot compute")
    refuse_head(recipe, model)
    setup = _setup(dry, training_args, model_args)
    plan = planning.plan_memory(shape, setup, gpu_memory=dry.dry_run_gpu_memory)
    lines = [f"{line.part:24} {line.bytes / 2**30:9.3f} GiB  {line.how}" for line in plan.lines]
    if not plan.fits:
        raise ValueError(planning.verdict(plan))
    return [f"recipe {recipe.name}, {len(rewards)} reward(s)", *lines, *planning.sentences(plan)]


def _lora(model_args: Any) -> Any:
    from entrostat.plan import Lora

    if not model_args.use_peft:
        return None
    targets = model_args.lora_target_modules or []
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    return Lora(rank=model_args.lora_r, targets=targets, dropout=model_args.lora_dropout)


def _setup(dry: DryRunArguments, args: Any, model_args: Any) -> Any:
    from entrostat.plan import Setup

    # TRL sets no bound on prompts; without a model length of its own the plan takes as much as the response.
    longest = args.vllm_max_model_length or 2 * args.max_completion_length
    return Setup(
        sequences=args.per_device_train_batch_size,
        prompt=max(1, longest - args.max_completion_length),
        completion=args.max_completion_length,
        rollouts=args.per_device_train_batch_size * args.steps_per_generation,
        weights=model_args.dtype if model_args.dtype in ("bfloat16", "float16") else "float32",
        compute="float16" if args.fp16 else "bfloat16" if args.bf16 else "float32",
        optimizer=str(getattr(args.optim, "value", args.optim)),
        checkpointing=args.gradient_checkpointing,
        attention=model_args.attn_implementation or "sdpa",
        sharding=dry.dry_run_sharding or ("ddp" if dry.dry_run_gpus > 1 else "none"),
        gpus=dry.dry_run_gpus,
        reference=args.beta > 0,
        vllm=args.vllm_mode if args.use_vllm else "off",
        vllm_share=args.vllm_gpu_memory_utilization,
        vllm_sleeps=args.vllm_enable_sleep_mode,
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
        *settings, dry = parse(arguments)
        if dry.dry_run:
            print("\n".join(check(dry, *settings)))
            return
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
