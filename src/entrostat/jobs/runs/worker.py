"""One run of a job, in a process of its own: `python -m entrostat.jobs.runs.worker OUT LABEL SEED [--slot N]`.

Exit code 0: done or stopped in order. 2: the run cannot start; the last line of the log says why in one sentence. 1: it
broke; the log has the traceback, and its last line the error.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from entrostat.jobs.runs import _trackers
from entrostat.jobs.runs._directory import JobDirectory, RunDirectory
from entrostat.jobs.runs.task import Task, build
from entrostat.jobs.settings import Job, RecipeJob

PACKAGES = ("entrostat", "torch", "transformers", "trl", "accelerate", "datasets", "tokenizers")


def main(arguments: list[str] | None = None) -> int:
    """Run one run of the job in a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("label")
    parser.add_argument("seed", type=int)
    parser.add_argument("--slot", type=int, default=0, help="which of the runs that go on at a time this is")
    options = parser.parse_args(arguments)
    directory = JobDirectory(options.out)
    try:
        keep_to_one_gpu(options.slot)
        job = directory.load()
        recipe = next(recipe for recipe in job.recipes if recipe.label == options.label)
        job = job.line(recipe)
        run = directory.run(recipe, options.seed)
        with run.locked():
            _run(job, recipe, options.seed, run)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", flush=True)
        return 2
    except Exception as error:
        traceback.print_exc()
        print(f"error: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        return 1
    return 0


def _run(job: Job, recipe: RecipeJob, seed: int, run: RunDirectory) -> None:
    _quiet_environment(job)
    _trackers.set_up(job.report_to, run)
    import torch

    from entrostat.jobs.runs import _samples
    from entrostat.jobs.runs._callbacks import EvaluationCallback, RecordCallback, StopCallback, Stopwatch
    from entrostat.jobs.runs._checkpoints import whole_checkpoint
    from entrostat.jobs.runs._tokens import TokenWriter
    from entrostat.observe.records import RecordWriter

    torch.set_num_threads(1)
    checkpoint, step = whole_checkpoint(run.checkpoints)
    writer = RecordWriter(run.records)
    writer.rewind(step)
    for log in (run.samples, run.tokens):
        _samples.rewind(log, step)
    run.update(status="running", versions=_versions(), error=None)
    model, tokenizer = _load_model(job)
    task = build(job, tokenizer)
    watch = Stopwatch(before=_seconds_at(run, step))
    stop = StopCallback(job.train.updates)
    tokens = TokenWriter(
        run.tokens,
        tokenizer=tokenizer,
        measure=recipe.build().measure,
        problems=job.evaluation.tokens,
        max_new_tokens=job.train.max_completion_length,
        temperature=job.train.temperature,
    )
    callbacks = [
        EvaluationCallback(job, task, run, shown := _trackers.TrackedWriter(writer), watch, tokenizer, tokens),
        RecordCallback(writer, watch),
        stop,
    ]
    trainer = _trainer(job, task, recipe, seed, run, model, tokenizer, callbacks)
    shown.follow(trainer)
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    earlier = run.info().get("wall_seconds") or 0.0, run.info().get("process_seconds") or 0.0
    run.update(
        status="stopped" if stop.stopped else "done",
        wall_seconds=round(earlier[0] + time.perf_counter() - started, 2),
        process_seconds=round(earlier[1] + time.process_time(), 2),
    )


def keep_to_one_gpu(slot: int) -> None:
    """Hide all GPUs but the slot's: a run trains on one, and transformers would cut its batches over all it sees."""
    import torch

    if (number := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(number)))
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[slot % number]


def _quiet_environment(job: Job) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if all(not name or Path(name).expanduser().exists() for name in (job.model, job.data.source)):
        # Nothing has to be fetched: no run should wait for a hub, or tell one about itself.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)


def _load_model(job: Job) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM

    return _loaded(AutoModelForCausalLM, job, dtype=job.train.dtype), load_tokenizer(job)


def load_tokenizer(job: Job) -> Any:
    """Return the tokenizer of the job's model; raises `ValueError` if there is none."""
    from transformers import AutoTokenizer

    return _loaded(AutoTokenizer, job)


def _loaded(kind: Any, job: Job, **settings: Any) -> Any:
    from entrostat.tasks import warm_start_path

    source = job.model or str(warm_start_path())
    try:
        return kind.from_pretrained(source, **settings)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(
            f"`model` must be a directory or hub id of a causal language model, got {source!r}: {first}"
        ) from None


def _trainer(
    job: Job,
    task: Task,
    recipe: RecipeJob,
    seed: int,
    run: RunDirectory,
    model: Any,
    tokenizer: Any,
    callbacks: list[Any],
) -> Any:
    from datasets import Dataset

    from entrostat.integrations.trl import EntropyGRPOTrainer
    from entrostat.tasks import useless_token_ids

    order = problem_order(len(task.train), job, seed)
    rows = [{"prompt": task.train[index].prompt, "problem": index} for index in order]

    def reward(completions: list[str], problem: list[int], **_: Any) -> list[float]:
        return task.score([task.train[index] for index in problem], completions)

    return EntropyGRPOTrainer(
        model,
        reward,
        args=trl_settings(job, seed, run.checkpoints, _trackers.settings(job.report_to, run)),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=callbacks,
        recipe=recipe.build(),
        # A vocabulary without such tokens has nothing to watch.
        watched_token_ids=useless_token_ids(tokenizer) or None,
    )


def trl_settings(job: Job, seed: int, folder: Path, trackers: Mapping[str, Any] | None = None) -> Any:
    """Return TRL's settings of one run, which nobody tracks unless it is said; raises what TRL refuses."""
    from trl.trainer.grpo_config import GRPOConfig

    train = job.train
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
        save_steps=whole_batches(train.save_every, train.updates),
        save_total_limit=2,
        logging_steps=1,
        **(trackers or {"report_to": "none"}),
        disable_tqdm=True,
        use_cpu=not _has_gpu(),
        bf16=_has_gpu() if train.precision == "auto" else train.precision == "bf16",
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


def whole_batches(steps: int, updates: int) -> int:
    """Return the next number of optimizer steps that ends a rollout batch.

    Example:
        >>> whole_batches(5, 2)
        6
    """
    return -(-steps // updates) * updates


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _seconds_at(run: RunDirectory, step: int) -> float:
    from entrostat.observe.records import StepRecord, read

    if not step or not run.records.exists():
        return 0.0
    steps = [record for record in read(run.records) if isinstance(record, StepRecord)]
    return (steps[-1].seconds or 0.0) if steps else 0.0


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    sys.exit(main())
