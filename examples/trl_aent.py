"""TRL's GRPO with and without AEnt on the embedded model: what happens to its entropy.

    python examples/trl_aent.py

The script that you have already has `GRPOTrainer(...)` where this one has `EntropyGRPOTrainer(..., recipe=recipe)`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig

import entrostat as es
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.tasks import countdown, warm_start_path

PROBLEMS = countdown.load("train")
RECIPES = {
    "none": es.recipes.none(),
    # The band is a share of the entropy measured in the first ten steps; the law's pace suits a run this short.
    "aent": es.recipes.aent(keep=31, low="85%", high="105%", initial=0.02, rate=0.1, floor=0.0, ceiling=0.1, warmup=10),
}


def reward(completions: list[str], number: list[int], **_: Any) -> list[float]:
    """Score each completion against its problem: 1 for a correct solution, else 0."""
    return [countdown.score(PROBLEMS[n], text) for n, text in zip(number, completions, strict=True)]


def train(recipe: es.Recipe, steps: int) -> EntropyGRPOTrainer:
    """Train the embedded model with one recipe; the trainer's state holds what TRL logged at each step."""
    rows = [{"prompt": countdown.prompt(problem), "number": number} for number, problem in enumerate(PROBLEMS)]
    settings = GRPOConfig(
        tempfile.mkdtemp(),
        use_cpu=True,
        bf16=False,
        max_steps=steps,
        per_device_train_batch_size=128,
        steps_per_generation=2,
        num_generations=8,
        max_completion_length=12,
        learning_rate=5e-4,
        adam_beta2=0.98,
        lr_scheduler_type="constant",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = EntropyGRPOTrainer(
        str(warm_start_path()), reward, args=settings, train_dataset=Dataset.from_list(rows), recipe=recipe
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer


def mean(lines: list[dict[str, float]], name: str) -> float:
    """Return a metric's mean over some steps that have it."""
    values = [float(line[name]) for line in lines if name in line]
    return sum(values) / len(values)


def main() -> None:
    """Train with both recipes and print entropy, coefficient and reward, first and last tenth of the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps of each run")
    steps = parser.parse_args().steps
    started = time.perf_counter()
    warnings.simplefilter("ignore", FutureWarning)  # transformers on TRL's use of its settings
    disable_progress_bar()
    print(f"{'':6}  entropy, nats   coefficient  reward")
    for name, recipe in RECIPES.items():
        log = train(recipe, steps).state.log_history
        lines = [line for line in log if "entropy_control/entropy" in line]
        part = max(2, steps // 10)
        first, last = lines[:part], lines[-part:]
        entropy = f"{mean(first, 'entropy_control/entropy'):.3f} -> {mean(last, 'entropy_control/entropy'):.3f}"
        rewards = f"{mean(first, 'reward'):.3f} -> {mean(last, 'reward'):.3f}"
        print(f"{name:6}  {entropy}  {mean(last, 'entropy_control/coef'):11.4f}  {rewards}")
    print(f"{time.perf_counter() - started:.0f} seconds, {time.process_time():.0f} of them on a processor")


if __name__ == "__main__":
    main()
