"""Train with GRPO and a recipe from a file of settings or from flags: `trl grpo` with two more flags.

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

A flag overrides the file. All of TRL's own settings are there (`--help`). Input that cannot work is refused in one
sentence before anything is trained, with exit code 2. `--dry_run --dry_run_gpus 8` checks everything that needs no GPU,
prints what the head would cost, and stops.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any, cast

import yaml
from transformers import TrainerCallback

from entrostat.errors import require_count
from entrostat.integrations.sources import avoid_unknown_hub
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.integrations.trl._script import REWARDS as REWARDS
from entrostat.integrations.trl._script import DryRunArguments as DryRunArguments
from entrostat.integrations.trl._script import RecipeArguments as RecipeArguments
from entrostat.integrations.trl._script import RewardArguments as RewardArguments
from entrostat.integrations.trl._script import Settings, check, split_of
from entrostat.integrations.trl._script import reward_function as reward_function

_DESCRIPTION = "GRPO with entropy control: all settings of `trl grpo`, and a recipe."


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Return the settings of a command line and the file it names.

    Raises:
        ValueError: settings that are unknown, out of range or in conflict, or a file that is not YAML.
        OSError: the file cannot be read.
    """
    # TRL's parser does not know `--config=FILE` as one word.
    words = [
        part
        for word in (sys.argv[1:] if arguments is None else arguments)
        for part in (word.split("=", 1) if word.startswith("--config=") else [word])
    ]
    if words[-1:] == ["--config"]:
        raise ValueError("`--config` must be followed by a file.")
    trl = _trl()
    try:
        # Whether it is a dry run has to be known before TRL checks its own settings.
        first = trl.TrlParser((DryRunArguments,), add_help=False, allow_abbrev=False)
        dry, *_ = first.parse_args_and_config(words, return_remaining_strings=True)
        require_count("dry_run_gpus", dry.dry_run_gpus, least=1)
        config = trl.GRPOConfig
        if dry.dry_run:
            # Without this flag transformers refuses bf16 on a machine that has no GPU.
            words += ["--use_cpu", "true"]
            config = type("GRPOConfig", (config,), {"world_size": dry.dry_run_gpus})
        kinds: tuple[Any, ...] = (
            RecipeArguments, RewardArguments, trl.ScriptArguments, config, trl.ModelConfig, trl.DatasetMixtureConfig,
            DryRunArguments,
        )  # fmt: skip
        parser = trl.TrlParser(kinds, prog="python -m entrostat.integrations.trl.grpo", description=_DESCRIPTION)
        # `parse_args_and_config` takes --config away before argparse sees it; it is named here for --help.
        parser.add_argument("--config", metavar="FILE", help="YAML file of settings under the names of the flags.")
        *settings, _ = parser.parse_args_and_config(words)
    except yaml.YAMLError as error:
        raise ValueError(f"the file of settings is not YAML: {error}") from None
    return Settings(*settings)


def make_trainer(settings: Settings) -> EntropyGRPOTrainer:
    """Return the trainer that the settings describe.

    Raises:
        ValueError: settings that are missing, unknown, out of range or in conflict.
        OSError: a model or dataset that cannot be found.
    """
    trl = _trl()
    recipe, rewards = settings.made()
    args, model, script = settings.training, settings.model, settings.script
    args.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        "trust_remote_code": getattr(args, "trust_remote_code", False),
        **(args.model_init_kwargs or {}),
    }
    dataset = settings.dataset()
    evaluates = args.eval_strategy != "no"
    return EntropyGRPOTrainer(
        model=model.model_name_or_path,
        reward_funcs=rewards,
        args=args,
        train_dataset=split_of(dataset, script.dataset_train_split),
        eval_dataset=split_of(dataset, script.dataset_test_split) if evaluates else None,
        quantization_config=trl.get_quantization_config(model),
        peft_config=trl.get_peft_config(model),
        recipe=recipe,
    )


def _trl() -> Any:
    # TRL fills its namespace lazily, which type checkers cannot see.
    return importlib.import_module("trl")


class _Began(TrainerCallback):
    """Knows whether the first step has begun: what fails before it is the input."""

    training = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.training = True


def main(arguments: Sequence[str] | None = None) -> None:
    """Train; on input that cannot work, print one sentence and exit with 2."""
    began = _Began()
    try:
        settings = parse(arguments)
        avoid_unknown_hub([settings.model.model_name_or_path or "", settings.script.dataset_name or ""])
        if settings.dry.dry_run:
            print("\n".join(check(settings)))
            return
        trainer = make_trainer(settings)
        trainer.add_callback(began)
        trainer.train(resume_from_checkpoint=settings.training.resume_from_checkpoint)
    except (ValueError, OSError, ImportError) as error:
        if began.training:
            raise  # not a mistake in the input, or not one that could be seen before
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    args = settings.training
    trainer.save_model(args.output_dir)
    trainer.accelerator.print(f"Trained; the model is in {args.output_dir}.")
    if args.push_to_hub:
        trainer.push_to_hub(dataset_name=settings.script.dataset_name)
    if hasattr(trainer, "end"):  # from transformers 5.18: it closes trackers and the process group
        cast("Any", trainer).end()


if __name__ == "__main__":
    main()
