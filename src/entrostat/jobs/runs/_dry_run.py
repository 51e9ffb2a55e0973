"""A job checked without training it: everything that needs no GPU, and the cost of its heads."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrostat.integrations.cost import HeadCost, meta_model, model_head_cost, parameters
from entrostat.jobs.runs._directory import JobDirectory
from entrostat.jobs.runs._task import UnreachableError, build_task
from entrostat.jobs.runs._trainer import model_source, trl_settings
from entrostat.jobs.settings import Job, RecipeJob

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """The result of a dry run: the job could start."""

    parameters: int
    """Of the model."""
    costs: dict[str, HeadCost]
    """One per recipe, by label."""
    notes: tuple[str, ...]
    """Things that could not be checked here."""


def dry_run(job: Job, out: Path) -> DryRun:
    """Check a job; nothing is written except in a temporary directory.

    Args:
        job: the job.
        out: the directory it would write.

    Raises:
        ValueError: the job could not start, in one sentence.
    """
    _check_writable(out)
    source = model_source(job)
    model = meta_model(source)
    tokenizer, notes = _tokenizer(source, model.get_output_embeddings().weight.shape[0])
    notes += _check_data(job, tokenizer)
    if job.train.vllm and importlib.util.find_spec("vllm") is None:
        notes.append("Not checked: vLLM, which is not installed here.")
    costs: dict[str, HeadCost] = {}
    for entry in job.recipes:
        line = job.line(entry)
        _check_host(line, entry, model)
        train = line.train
        rows = train.minibatch // train.accumulation * train.max_completion_length
        compute = "float32" if train.precision == "fp32" else "bfloat16"
        costs[entry.label] = model_head_cost(model, rows, weights=train.dtype, compute=compute)
    return DryRun(parameters=parameters(model), costs=costs, notes=tuple(notes))


def _check_writable(out: Path) -> None:
    JobDirectory(out).check_free()
    place = out.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ValueError(f"{out} cannot be written: {place} does not allow it. Choose another --out.")


def _check_host(job: Job, entry: RecipeJob, model: Any) -> None:
    """Raise what TRL or our trainer would refuse at construction."""
    from entrostat.integrations.trl import check_recipe

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        settings = trl_settings(job, job.seeds[0], Path(folder))
    try:
        check_recipe(entry.build(), settings, model)
    except ValueError as error:
        raise ValueError(f"recipe {entry.label!r}: {error}") from None


def _tokenizer(source: str, vocab: int) -> tuple[Any, list[str]]:
    """Return the tokenizer, or None and a note if it is not there; refuse one larger than the model's head."""
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


def _check_data(job: Job, tokenizer: Any) -> list[str]:
    """Read and check the data as a run does; return a note if that is not possible here."""
    if tokenizer is None:
        data = f"the data {job.data.source!r}" if job.data.source else "the prompts"
        return [f"Not checked: {data}, because there is no tokenizer."]
    try:
        build_task(job, tokenizer)
    except UnreachableError as error:
        return [f"Not checked: the data. {error}"]
    return []
