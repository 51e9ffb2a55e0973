"""The bytes that every recipe sends between ranks, counted in a training of the embedded model, call by call.

One process trains; it puts into a collective the same as one rank of many. A rollout batch has two steps of two
micro-batches of 16 responses. Counted are, per step,

    sums       all-reduces, and their bytes
    gathers    of values that every rank receives from every other one, and their bytes: one per response token, one per
               candidate among the tokens, one or two per response, or a few numbers

    python benchmarks/traffic.py [--out benchmarks/results/traffic.csv] [RECIPE ...]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from entrostat.jobs.bench import machine, write_table

STEPS, RESPONSES = 4, 16
"""Optimizer steps, and responses of a micro-batch."""
KINDS = ("tokens", "candidates", "responses", "numbers")


class Counted:
    """Listens to a trainer's collectives."""

    def __init__(self, trainer: Any) -> None:
        self.sums, self.sum_bytes = 0, 0
        self.gathers: Counter[str] = Counter()
        self.gathered_bytes: Counter[str] = Counter()
        self.tokens = 0
        """Response tokens of all micro-batches."""
        self._tokens = self._responses = 0
        self._lengths = False
        self._token_batch = trainer._token_batch
        trainer._token_batch = self._see
        trainer._ranks.all_reduce = trainer.control._reduce = self._sum
        # One process has no `all_gather`; with one, recipes gather as on several ranks.
        trainer.control._all_gather = self._gather

    def _see(self, *args: Any, **facts: Any) -> Any:
        batch = self._token_batch(*args, **facts)
        self._tokens, self._responses = int(batch.mask.sum()), len(batch.mask)
        if self._responses == RESPONSES:  # and no rollout batch
            self.tokens += self._tokens
        return batch

    def _sum(self, tensor: Tensor) -> Tensor:
        self.sums += 1
        self.sum_bytes += tensor.numel() * tensor.element_size()
        return tensor

    def _gather(self, values: Tensor) -> list[Tensor]:
        # Every gather has two calls: the lengths, then the values.
        self._lengths = not self._lengths
        if self._lengths:
            return [values]
        kind = self._kind(values.numel())
        self.gathers[kind] += 1
        self.gathered_bytes[kind] += values.numel() * values.element_size()
        return [values]

    def _kind(self, size: int) -> str:
        if size <= 2:
            return "numbers"
        if size == self._tokens:
            return "tokens"
        return "responses" if size in (self._responses, 2 * self._responses) else "candidates"


def make_trainer(name: str, folder: str) -> Any:
    """Return a trainer of the embedded model with a recipe as `entrostat run --recipe NAME` takes it."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig

    from entrostat import tasks
    from entrostat.integrations.trl import EntropyGRPOTrainer
    from entrostat.jobs.runs import countdown_task
    from entrostat.jobs.settings import Job

    line, path = Job().with_recipes([name]).recipes[0], tasks.warm_start_path()
    task = countdown_task()
    rows = task.rows(range(200))
    beta = dict(line.train).get("beta", 0.0)
    settings = GRPOConfig(
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, beta=beta,
        per_device_train_batch_size=RESPONSES, num_generations=8, steps_per_generation=4,
        gradient_accumulation_steps=2, max_completion_length=12, learning_rate=1e-5, max_steps=STEPS,
        report_to="none", save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    return EntropyGRPOTrainer(
        AutoModelForCausalLM.from_pretrained(path), task.reward_function(), args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(path), recipe=line.build(),
    )  # fmt: skip


def count(name: str) -> dict[str, Any]:
    """Return a recipe's row."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(name, folder)
        counted = Counted(trainer)
        trainer.train()
    row: dict[str, Any] = {"recipe": name, "step_responses": 2 * RESPONSES, "step_tokens": counted.tokens / STEPS}
    row |= {"sums": counted.sums / STEPS, "sum_bytes": counted.sum_bytes / STEPS}
    for kind in KINDS:
        row[f"{kind}_gathers"] = counted.gathers[kind] / STEPS
        row[f"{kind}_bytes"] = counted.gathered_bytes[kind] / STEPS
    return row


def main() -> None:
    """Print the rows, and write them."""
    from entrostat import recipes

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in options.recipes or recipes.names():
        rows.append(count(name))
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items() if value), flush=True)
    if options.out is not None:
        write_table(options.out, rows, machine())


if __name__ == "__main__":
    main()
