"""The trainer of a run: TRL's settings, the model and its tokenizer, the order of the problems."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from entrostat.jobs.runs import _trackers
from entrostat.jobs.runs._directory import RunDirectory
from entrostat.jobs.runs._task import Task
from entrostat.jobs.settings import Job, RecipeJob
from entrostat.tasks import useless_token_ids, warm_start_path


def model_source(job: Job) -> str:
    """Return the directory or hub id of the job's model."""
    return job.model or str(warm_start_path())


def load_model(job: Job) -> Any:
    """Return the job's model; raises `ValueError` if there is none."""
    from transformers import AutoModelForCausalLM

    return _load(AutoModelForCausalLM, job, dtype=job.train.dtype)


def load_tokenizer(job: Job) -> Any:
    """Return the tokenizer of the job's model; raises `ValueError` if there is none."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, job)


def _load(kind: Any, job: Job, **options: Any) -> Any:
    source = model_source(job)
    try:
        return kind.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`model` must be a directory or hub id of a causal language model, got {source!r}: {first}"
        ) from None


def make_trainer(
    job: Job,
    recipe: RecipeJob,
    seed: int,
    *,
    task: Task,
    run: RunDirectory,
    model: Any,
    tokenizer: Any,
    callbacks: list[Any],
) -> Any:
    """Return the trainer of one run."""
    from datasets import Dataset

    from entrostat.integrations.trl import EntropyGRPOTrainer

    return EntropyGRPOTrainer(
        model,
        task.reward_function(),
        args=trl_settings(job, seed, run.checkpoints, _trackers.settings(job.report_to, run)),
        train_dataset=Dataset.from_list(task.rows(problem_order(len(task.train), job, seed))),
        processing_class=tokenizer,
        callbacks=callbacks,
        recipe=recipe.build(),
        # A vocabulary without such tokens has nothing to watch.
        watched_token_ids=useless_token_ids(tokenizer) or None,
    )


def trl_settings(job: Job, seed: int, folder: Path, trackers: Mapping[str, Any] | None = None) -> Any:
    """Return TRL's settings of one run, without trackers unless they are given; raises what TRL raises."""
    from trl.trainer.grpo_config import GRPOConfig

    train, has_gpu = job.train, torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=train.minibatch // train.accumulation,
        gradient_accumulation_steps=train.accumulation,
        steps_per_generation=train.minibatches * train.accumulation,
        num_generations=train.generations,
        num_iterations=train.iterations,
        max_completion_length=train.max_completion_length,
        temperature=train.temperature,
        learning_rate=train.learning_rate,
        adam_beta2=train.adam_beta2,
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        # transformers' `constant` has no warm-up.
        lr_scheduler_type="constant_with_warmup" if train.warmup and train.schedule == "constant" else train.schedule,
        warmup_steps=train.warmup,
        epsilon=train.clip_low,
        epsilon_high=train.clip_high,
        loss_type=train.loss_type,
        scale_rewards=train.scale_rewards,
        mask_truncated_completions=train.mask_truncated,
        beta=train.beta,
        max_steps=job.steps,
        seed=seed,
        # The order is ours: the same prefix whatever the number of steps, and one epoch, so that a resume finds it.
        shuffle_dataset=False,
        save_strategy="steps",
        # Rounded up to whole rollout batches: no run can be resumed exactly inside one.
        save_steps=-(-train.save_every // train.updates) * train.updates,
        save_total_limit=2,
        logging_steps=1,
        **(trackers or {"report_to": "none"}),
        disable_tqdm=True,
        use_cpu=not has_gpu,
        bf16=has_gpu if train.precision == "auto" else train.precision == "bf16",
        gradient_checkpointing=train.gradient_checkpointing,
        use_vllm=bool(train.vllm),
        vllm_mode=train.vllm or "colocate",
        vllm_gpu_memory_utilization=train.vllm_memory,
        vllm_server_base_url=train.vllm_server or None,
    )


def problem_order(problems: int, job: Job, seed: int) -> list[int]:
    """Return which problem each prompt of the run shows: whole shuffled passes, one after the other.

    Example:
        >>> short = problem_order(5, Job(steps=1), seed=0)
        >>> short == problem_order(5, Job(steps=4), seed=0)[: len(short)]
        True
    """
    rollouts = -(-job.steps // job.train.updates)
    needed = rollouts * job.train.prompts
    rng = random.Random(seed)
    order: list[int] = []
    while len(order) < needed:
        order += rng.sample(range(problems), problems)
    return order[:needed]
