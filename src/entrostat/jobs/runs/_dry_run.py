"""A job checked without training it: everything that can be checked without a GPU, and the plan of its memory."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrostat.integrations.plan import ModelShape, Plan, Setup, meta_model, plan_memory, read_shape
from entrostat.jobs.runs.task import UnreachableError, build
from entrostat.jobs.settings import Job, RecipeJob

UNKNOWN_PROMPT = 1024
"""Tokens assumed of the longest prompt where the data cannot be read and the job sets no `max_prompt_tokens`."""
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a dry run found: one plan per recipe, and what could not be checked here."""

    plans: dict[str, Plan]
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every recipe's plan fits into a GPU."""
        return all(plan.fits for plan in self.plans.values())


def dry_run(job: Job, out: Path, *, gpus: int = 1, gpu_memory: float = 80.0, sharding: str = "") -> DryRun:
    """Check a job and plan its memory; nothing is written but in a temporary directory.

    Args:
        job: the job.
        out: where it would write.
        gpus: how many GPUs each run has.
        gpu_memory: GiB of each.
        sharding: how they share the work (`entrostat.integrations.plan.Setup`); empty for DDP, or for one GPU alone.

    Raises:
        ValueError: the job could not start, in one sentence.
    """
    check_writable(out)
    source = job.model or _embedded()
    shape, model = read_shape(source), meta_model(source)
    tokenizer, notes = _tokenizer(source, shape.vocab)
    prompt, unread = _longest_prompt(job, tokenizer)
    notes += [*unread, *_vllm_notes(job), *_gpu_notes(gpus)]
    chosen = sharding or ("ddp" if gpus > 1 else "none")
    plans: dict[str, Plan] = {}
    for entry in job.recipes:
        line = job.line(entry)
        _check_host(line, entry, shape, model)
        setup = dataclasses.replace(_setup(line, prompt), gpus=gpus, sharding=chosen)
        plans[entry.label] = plan_memory(shape, setup, gpu_memory=gpu_memory)
    return DryRun(plans=plans, notes=tuple(notes))


def _embedded() -> str:
    from entrostat.tasks import warm_start_path

    return str(warm_start_path())


def check_writable(out: Path) -> None:
    """Refuse a directory that cannot be made or written, or that holds a job."""
    if (out / "job.toml").exists():
        raise ValueError(f"{out} already holds a job. Continue it with --resume, or choose another --out.")
    place = out.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ValueError(f"{out} cannot be written: {place} does not allow it. Choose another --out.")


def _check_host(job: Job, entry: RecipeJob, shape: ModelShape, model: Any) -> None:
    """Raise what TRL or our trainer would refuse at construction."""
    from entrostat.control import measure_scale
    from entrostat.integrations.trl._refusals import refuse_conflicts, refuse_head
    from entrostat.jobs.runs.worker import trl_settings

    recipe = entry.build()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        settings = trl_settings(job, job.seeds[0], Path(folder))
    try:
        refuse_conflicts(settings, recipe)
        measure_scale(recipe, shape.vocab, "the fused head")
        refuse_head(recipe, model)
    except ValueError as error:
        raise ValueError(f"recipe {entry.label!r}: {error}") from None


def _setup(job: Job, prompt: int) -> Setup:
    train = job.train
    return Setup(
        sequences=train.minibatch // train.accumulation,
        prompt=prompt,
        completion=train.max_completion_length,
        rollouts=train.prompts * train.generations,
        weights=train.dtype,
        compute="float32" if train.precision == "fp32" else "bfloat16",
        checkpointing=train.gradient_checkpointing,
        reference=train.beta > 0,
        vllm=train.vllm or "off",
        vllm_share=train.vllm_memory,
    )


def _tokenizer(source: str, vocab: int) -> tuple[Any, list[str]]:
    """Return the tokenizer, or None and a note where it is not there; refuse one larger than the model's head."""
    from transformers import AutoTokenizer

    folder = Path(source).expanduser()
    # transformers makes an empty tokenizer from a config alone.
    if folder.is_dir() and not any((folder / name).exists() for name in _TOKENIZER_FILES):
        return None, ["Not checked: the tokenizer, which is not there."]
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        return None, [f"Not checked: the tokenizer, which cannot be read ({str(error).strip().splitlines()[0]})."]
    if (tokens := len(tokenizer)) > vocab:
        raise ValueError(
            f"`model` {source!r} has a tokenizer of {tokens:,} tokens, more than the head's {vocab:,} rows."
        )
    return tokenizer, []


def _longest_prompt(job: Job, tokenizer: Any) -> tuple[int, list[str]]:
    """Return the tokens of the longest prompt, with the data read and checked as a run does; or a note why not."""
    assumed = job.data.max_prompt_tokens or UNKNOWN_PROMPT
    what = f"the data {job.data.source!r}" if job.data.source else "the prompts"
    if tokenizer is None:
        return assumed, [f"Not checked: {what}, for want of the tokenizer; prompts of {assumed:,} tokens assumed."]
    try:
        task = build(job, tokenizer)
    except UnreachableError as error:
        return assumed, [f"Not checked: the data; prompts of {assumed:,} tokens assumed. {error}"]
    return max(map(len, tokenizer([problem.prompt for problem in task.train])["input_ids"])), []


def _vllm_notes(job: Job) -> list[str]:
    if job.train.vllm and importlib.util.find_spec("vllm") is None:
        return ["Not checked: vLLM, which is not installed here."]
    return []


def _gpu_notes(gpus: int) -> list[str]:
    if gpus == 1:
        return []
    return [
        f"`entrostat run` trains each run on one GPU; a run on {gpus} is started by `accelerate launch -m "
        "entrostat.integrations.trl.grpo`."
    ]
