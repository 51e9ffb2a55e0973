"""The cost of entropy control: one training step with a recipe against the same step with recipe `none`, embedded job.

TRL trainers take turns in one process on one thread, step by step, with the same random numbers and a learning rate
so small that all keep seeing the same rollouts. The figure is the median over the steps of the ratio of CPU times;
generation, scoring, loss, backward and optimizer are all inside.

    python benchmarks/step_overhead.py [--steps 40] [--backend torch]            AEnt, two clamps
    python benchmarks/step_overhead.py --all [--out FILE.csv]                    every recipe
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

from entrostat.jobs.bench import machine, write_table

STEPS_TO_WARM_UP = 4


class Turns:
    """Lets several threads work strictly in turn, and times each turn."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._turn = 0
        self._changed = threading.Condition()
        self._began = 0.0
        self.seconds: dict[str, list[float]] = {name: [] for name in names}

    def begin(self, name: str) -> None:
        """Wait until it is this one's turn."""
        with self._changed:
            self._changed.wait_for(lambda: self._names[self._turn % len(self._names)] == name)
        torch.manual_seed(self._turn // len(self._names))
        self._began = time.process_time()

    def end(self, name: str) -> None:
        """Note the time and let the next one work."""
        self.seconds[name].append(time.process_time() - self._began)
        with self._changed:
            self._turn += 1
            self._changed.notify_all()


def make_trainer(recipe: Any, train: dict[str, Any], steps: int, folder: str, turns: Turns, name: str) -> Any:
    """Return the embedded job's trainer, which works only in its turns."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
    from transformers.utils import logging
    from trl import GRPOConfig

    from entrostat import tasks
    from entrostat.integrations.trl import EntropyGRPOTrainer
    from entrostat.jobs.runs import countdown_task

    class TakeTurns(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            turns.begin(name)

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            turns.end(name)

    logging.disable_progress_bar()
    path = tasks.warm_start_path()
    tokenizer = AutoTokenizer.from_pretrained(path)
    task = countdown_task()
    rows = task.rows(range(len(task.train)))
    settings = GRPOConfig(
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, per_device_train_batch_size=128,
        num_generations=8, steps_per_generation=2, max_completion_length=12, learning_rate=1e-9, max_steps=steps,
        report_to="none", save_strategy="no", beta=train.get("beta", 0.0), temperature=1.0,
        lr_scheduler_type="constant", loss_type="dapo", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = EntropyGRPOTrainer(
        AutoModelForCausalLM.from_pretrained(path), task.reward_function(), args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer, recipe=recipe, callbacks=[TakeTurns()],
        watched_token_ids=tasks.useless_token_ids(tokenizer),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return trainer


def aent_lines() -> dict[str, Any]:
    """Return AEnt with two clamps, and its baseline."""
    from entrostat.jobs.settings import RecipeJob

    band = {"low": 0.25, "high": 0.35, "initial": 0.04, "ceiling": 0.2, "warmup": 1}
    return {
        "none": RecipeJob(name="none"),
        "aent clamp=0.3": RecipeJob(name="aent", parameters={"clamp": 0.3, **band}),
        "aent keep=31": RecipeJob(name="aent", parameters={"keep": 31, **band}),
    }


def every_line() -> dict[str, Any]:
    """Return every recipe as `entrostat run --recipe NAME` runs it, `none` first."""
    from entrostat import recipes
    from entrostat.jobs.settings import Job

    ordered = sorted(recipes.names(), key=lambda name: name != "none")
    return {name: Job().with_recipes([name]).recipes[0] for name in ordered}


def measure(chosen: dict[str, Any], steps: int) -> dict[str, list[float]]:
    """Return the CPU seconds of every step of every recipe."""
    turns = Turns(list(chosen))
    with tempfile.TemporaryDirectory() as folder:
        trainers = [
            make_trainer(line.build(), dict(line.train), steps, folder, turns, name) for name, line in chosen.items()
        ]
        threads = [threading.Thread(target=trainer.train) for trainer in trainers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return turns.seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", ENTROSTAT_BACKEND=options.backend)
    torch.set_num_threads(1)
    seconds = measure(every_line() if options.all else aent_lines(), options.steps)
    base = seconds["none"][STEPS_TO_WARM_UP:]
    print(f"backend {options.backend}, {len(base)} steps each, one thread, torch {torch.__version__}")
    rows: list[dict[str, Any]] = []
    for name, every in seconds.items():
        # A rollout batch serves two steps, the first of which pays for it, so pairs are compared.
        ratio = statistics.median(
            sum(every[at : at + 2]) / sum(seconds["none"][at : at + 2])
            for at in range(STEPS_TO_WARM_UP, len(every) - 1, 2)
        )
        milliseconds = statistics.mean(every[STEPS_TO_WARM_UP:]) * 1e3
        print(f"{name:20} {milliseconds:7.1f} ms   {(ratio - 1) * 100:+5.1f} %", flush=True)
        rows.append({"recipe": name, "milliseconds": f"{milliseconds:.1f}", "ratio": f"{ratio:.4f}"})
    if options.out is not None:
        facts = machine() | {"steps": len(base), "backend": options.backend}
        write_table(options.out, rows, facts)


if __name__ == "__main__":
    main()
