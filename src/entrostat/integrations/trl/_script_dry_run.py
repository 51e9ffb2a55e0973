"""`--dry_run` of the training script: all that can be checked without a GPU, and the plan of memory."""

from __future__ import annotations

import importlib.util
from typing import Any

from entrostat.control import measure_scale
from entrostat.errors import unknown_name
from entrostat.integrations.plan import Lora, Setup, meta_model, plan_memory, read_shape, sentences, verdict
from entrostat.integrations.trl._refusals import refuse_conflicts, refuse_head
from entrostat.integrations.trl._script_settings import Settings, split_of


def check(settings: Settings) -> list[str]:
    """Return the plan of the training that the settings describe, line by line; nothing is loaded but the dataset.

    Raises:
        ValueError: the training could not start; a model whose config cannot be had; a plan that does not fit.
    """
    recipe, rewards = settings.made()
    notes = _check_dataset(settings)
    args, name = settings.training, settings.model.model_name_or_path
    refuse_conflicts(args, recipe)
    shape = read_shape(name, lora=_lora(settings.model), trust_remote_code=args.trust_remote_code)
    measure_scale(recipe, shape.vocab, "the fused head")
    refuse_head(recipe, meta_model(name, trust_remote_code=args.trust_remote_code))
    plan = plan_memory(shape, _setup(settings), gpu_memory=settings.dry.dry_run_gpu_memory)
    if not plan.fits:
        raise ValueError(verdict(plan))
    lines = [f"{line.part:24} {line.bytes / 2**30:9.3f} GiB  {line.how}" for line in plan.lines]
    notes += _not_checked(args)
    return [f"recipe {recipe.name}, {len(rewards)} reward(s)", *lines, *sentences(plan), *notes]


def _check_dataset(settings: Settings) -> list[str]:
    """Refuse a dataset that TRL could not train on; return a note where it is out of reach."""
    try:
        dataset = settings.dataset()
    except ConnectionError as error:
        return [f"Not checked: the dataset. {error}"]
    split = split_of(dataset, settings.script.dataset_train_split)
    if "prompt" not in (split.column_names or ["prompt"]):
        raise unknown_name("column: TRL reads `prompt`, which is not among the", "prompt", split.column_names)
    return []


def _not_checked(args: Any) -> list[str]:
    notes = ["Not checked: the tokenizer, the lengths of the prompts, and whether the reward takes this dataset."]
    if args.bf16 or args.fp16:
        notes.append(f"Not checked: whether the GPUs compute in {'bf16' if args.bf16 else 'fp16'}.")
    if args.use_vllm and importlib.util.find_spec("vllm") is None:
        notes.append("Not checked: vLLM, which is not installed here.")
    return notes


def _lora(model_args: Any) -> Lora | None:
    if not model_args.use_peft:
        return None
    targets = model_args.lora_target_modules or []
    targets = (targets,) if isinstance(targets, str) else tuple(targets)
    return Lora(rank=model_args.lora_r, targets=targets, dropout=model_args.lora_dropout)


def _setup(settings: Settings) -> Setup:
    args, model_args, dry = settings.training, settings.model, settings.dry
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
