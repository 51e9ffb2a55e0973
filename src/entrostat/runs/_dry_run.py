"""A job checked without training it: everything that can be checked without a GPU, and the plan of its memory."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrostat.errors import sentence, unknown_name
from entrostat.job import DataJob, Job, RecipeJob
from entrostat.plan import ModelShape, Plan, Setup, meta_model, plan_memory, read_shape

COUNTDOWN_PROMPT = 32
"""No prompt of the embedded task has more tokens."""
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
        sharding: how they share the work (`entrostat.plan.Setup`); empty for DDP, or for one GPU alone.

    Raises:
        ValueError: the job could not start, in one sentence.
    """
    check_writable(out)
    source = job.model or _embedded()
    shape, model = read_shape(source), meta_model(source)
    notes = [*_tokenizer_notes(source, shape.vocab), *_data_notes(job.data), *_vllm_notes(job)]
    chosen = sharding or ("ddp" if gpus > 1 else "none")
    plans: dict[str, Plan] = {}
    for entry in job.recipes:
        line = job.line(entry)
        _check_host(line, entry, shape, model)
        setup = dataclasses.replace(_setup(line), gpus=gpus, sharding=chosen)
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
    from entrostat.integrations._hosts import measure_scale
    from entrostat.integrations.trl._refusals import refuse_conflicts, refuse_head
    from entrostat.runs.worker import trl_settings

    recipe = entry.build()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        settings = trl_settings(job, job.seeds[0], Path(folder))
    try:
        refuse_conflicts(settings, recipe)
        measure_scale(recipe, shape.vocab, "the fused head cannot compute")
        refuse_head(recipe, model)
    except ValueError as error:
        raise ValueError(f"recipe {entry.label!r}: {error}") from None


def _setup(job: Job) -> Setup:
    train = job.train
    return Setup(
        sequences=train.minibatch // train.accumulation,
        prompt=(job.data.max_prompt_tokens or 1024) if job.data.source else COUNTDOWN_PROMPT,
        completion=train.max_completion_length,
        rollouts=train.prompts * train.generations,
        weights=train.dtype,
        compute="float32" if train.precision == "fp32" else "bfloat16",
        checkpointing=train.gradient_checkpointing,
        reference=train.beta > 0,
        vllm=train.vllm or "off",
        vllm_share=train.vllm_memory,
    )


def _tokenizer_notes(source: str, vocab: int) -> list[str]:
    """Refuse a tokenizer with more tokens than the model's head has rows; note one that is not there."""
    from transformers import AutoTokenizer

    folder = Path(source).expanduser()
    # transformers makes an empty tokenizer from a config alone.
    if folder.is_dir() and not any((folder / name).exists() for name in _TOKENIZER_FILES):
        return ["Not checked: the tokenizer, which is not there."]
    try:
        tokens = len(AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        return [f"Not checked: the tokenizer, which cannot be read ({str(error).strip().splitlines()[0]})."]
    if tokens > vocab:
        raise ValueError(
            f"`model` {source!r} has a tokenizer of {tokens:,} tokens, more than the head's {vocab:,} rows."
        )
    return []


def _vllm_notes(job: Job) -> list[str]:
    if job.train.vllm and importlib.util.find_spec("vllm") is None:
        return ["Not checked: vLLM, which is not installed here."]
    return []


def _data_notes(data: DataJob) -> list[str]:
    """Refuse a file without the columns that are named, and a reward that is not there."""
    if not data.source:
        return []
    if "." in data.reward:
        from entrostat.integrations.trl.grpo import reward_function

        reward_function(data.reward)
    path = Path(data.source).expanduser()
    if path.suffix in (".jsonl", ".csv"):
        _check_columns(data, _columns(path))
        return []
    if path.suffix in (".json", ".parquet") and not path.is_file():
        raise ValueError(sentence("source", "be a file that is there", data.source))
    return [f"Not checked: the rows of {data.source}, which the run will read."]


def _columns(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            first = json.loads(file.readline()) if path.suffix == ".jsonl" else next(csv.reader(file), [])
    except (OSError, ValueError) as error:
        raise ValueError(
            sentence("source", "be a file that can be read", str(path), f"It fails with: {error}.")
        ) from None
    return list(first)


def _check_columns(data: DataJob, columns: list[str]) -> None:
    wanted = [data.prompt, data.answer] if data.reward in ("math", "exact") else [data.prompt]
    for column in wanted:
        if column not in columns:
            raise unknown_name(f"column of {data.source}", column, columns)
