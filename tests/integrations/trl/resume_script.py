"""A plain TRL script, run by `test_resume.py` and `test_resume_ranks.py`: train, and log every entry at once.

It keeps a checkpoint of every step. Three micro-batches per rollout batch and two per step, so most checkpoints fall in
the middle of a rollout batch. Five rollout batches and eight steps per epoch, in an order that TRL shuffles.

    resume_script.py OUT                             train
    resume_script.py OUT CHECKPOINT                  go on from there
    resume_script.py OUT CHECKPOINT CHECKPOINT ...   expect each to be refused; OUT gets what a rank says of them
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig

from entrostat import recipes
from entrostat.integrations.trl import EntropyGRPOTrainer

STEPS = 14
BAND: dict[str, Any] = {"low": 3.0, "high": 3.2, "initial": 0.5, "rate": 0.5, "floor": 0.0, "ceiling": 5.0, "warmup": 1}


class Log(TrainerCallback):
    """Appends each log entry to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({**(logs or {}), "step": state.global_step}) + "\n")


def even_words(completions: list[str], **_: Any) -> list[float]:
    return [sum(word[1:] in "02468" for word in text.split()) / 6 for text in completions]


def log_file(rank: int) -> str:
    """Return the name of a rank's log."""
    return f"log{rank}.jsonl"


def train(out: Path, checkpoint: Path | None = None, **changes: Any) -> Any:
    """Train the model in OUT/model, each rank with a log in OUT."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    settings: dict[str, Any] = {
        "use_cpu": True, "bf16": False, "per_device_train_batch_size": 4 // ranks, "num_generations": 4,
        "gradient_accumulation_steps": 2, "steps_per_generation": 3, "max_completion_length": 6, "max_steps": STEPS,
        "learning_rate": 1e-2, "logging_steps": 1, "report_to": "none", "save_steps": 1, "disable_tqdm": True,
        "gradient_checkpointing": False,
    }  # fmt: skip
    trainer = EntropyGRPOTrainer(
        LlamaForCausalLM.from_pretrained(out / "model"),
        even_words,
        args=GRPOConfig(str(out), **{**settings, **changes}),
        train_dataset=Dataset.from_list([{"prompt": f"<bos> w{number} w{number + 1}"} for number in range(16)]),
        processing_class=PreTrainedTokenizerFast.from_pretrained(out / "model"),
        recipe=recipes.aent(clamp=0.4, **BAND, anneal=0.3),
        callbacks=[Log(out / log_file(rank))],
    )
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    return trainer


def refusals(out: Path, checkpoints: list[Path]) -> list[str]:
    """Return why each checkpoint is refused."""
    said: list[str] = []
    for checkpoint in checkpoints:
        try:
            train(out, checkpoint)
        except ValueError as error:
            said.append(str(error))
        else:
            said.append("not refused")
    return said


def main() -> None:
    torch.set_num_threads(1)
    out, *checkpoints = map(Path, sys.argv[1:])
    if len(checkpoints) < 2:
        train(out, *checkpoints)
    else:
        said = refusals(out, checkpoints)
        (out / f"refusals{os.environ['RANK']}.json").write_text(json.dumps(said))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
