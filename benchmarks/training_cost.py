"""The cost of a whole training with `aent`, with TRL's own adaptive entropy and with neither, and their coefficients.

A Llama of 163 M parameters and V = 32,768 learns countdown's format from demonstrations, in place of a pretrained
model: all but 1,024 tokens of its vocabulary are never needed. From there four trainings start in bf16, each in a
process of its own, in turn, round after round:

    trl         TRL's GRPOTrainer
    adaptive    TRL's GRPOTrainer with `use_adaptive_entropy`, aimed at the middle of aent's band
    none        ours without a recipe's control
    aent        ours with AEnt, its band in shares of the entropy at the start

A training's step time is the median over its steps, without the first ones; figures are medians over the rounds of the
ratio to `none` in the same round. Memory is the most torch's allocator held. Meant for a GPU:

    python benchmarks/training_cost.py [--rounds 3] [--steps 40] --out benchmarks/results
    python benchmarks/training_cost.py --tiny      does it work? A few minutes on a CPU; its figures say nothing
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from entrostat.jobs.bench import machine, write_table

LINES = ("trl", "adaptive", "none", "aent")
LOW, HIGH = 0.5, 0.8
"""Shares of the entropy at the start: the band, and around the target."""
STEPS_TO_WARM_UP = 5


@dataclass(frozen=True, kw_only=True)
class Size:
    """The model, its warm start and a training's batch."""

    hidden: int = 768
    layers: int = 12
    vocab: int = 32_768
    demonstrations: int = 600
    learning_rate: float = 3e-4
    responses: int = 1024
    micro_batch: int = 256


TINY = Size(hidden=64, layers=2, vocab=2048, demonstrations=150, learning_rate=3e-3, responses=64, micro_batch=32)


def device() -> torch.device:
    """Return the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def warm_start(size: Size, folder: Path) -> float:
    """Train the start model on demonstrations, save it, and return its entropy along its own responses."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from entrostat.tasks import build_tokenizer
    from entrostat.tasks.warm_start import WarmStart, fit, measure

    tokenizer = build_tokenizer()
    words = tokenizer.get_vocab()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size.vocab, hidden_size=size.hidden, intermediate_size=4 * size.hidden,
        num_hidden_layers=size.layers, num_attention_heads=size.hidden // 64, max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=words["<pad>"], bos_token_id=words["<bos>"], eos_token_id=words["<eos>"],
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(device())
    fit(model, tokenizer, WarmStart(steps=size.demonstrations, lr=size.learning_rate))
    figures = measure(model.eval(), tokenizer, "validation", samples=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    print(f"start: {model.num_parameters():,} parameters, V = {size.vocab:,}, {shown}", flush=True)
    return figures["entropy"]


def make_trainer(line: str, start: Path, entropy: float, size: Size, steps: int, folder: str) -> Any:
    """Return the trainer of a line."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    from entrostat import recipes
    from entrostat.integrations.trl import EntropyGRPOTrainer
    from entrostat.jobs.runs import countdown_task

    task = countdown_task()
    rows = task.rows(range(len(task.train)))
    low, high = LOW * entropy, HIGH * entropy
    adaptive = {"use_adaptive_entropy": True, "entropy_target": (low + high) / 2} if line == "adaptive" else {}
    settings = GRPOConfig(
        output_dir=folder, use_cpu=device().type == "cpu", bf16=True, gradient_checkpointing=False,
        per_device_train_batch_size=size.micro_batch, gradient_accumulation_steps=size.responses // size.micro_batch,
        num_generations=8, max_completion_length=12, learning_rate=1e-5, max_steps=steps, report_to="none",
        save_strategy="no", logging_steps=1, temperature=1.0, disable_tqdm=True, seed=0, **adaptive,
    )  # fmt: skip
    chosen = {"none": recipes.none(), "aent": recipes.aent(clamp=0.33, low=low, high=high)}
    kind, extra = (EntropyGRPOTrainer, {"recipe": chosen[line]}) if line in chosen else (GRPOTrainer, {})
    return kind(
        AutoModelForCausalLM.from_pretrained(start), task.reward_function(), args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(start), **extra,
    )  # fmt: skip


def train(trainer: Any) -> dict[str, Any]:
    """Train, and return the median step's seconds, the most memory held, and the trace of entropy and coefficient."""
    from transformers import PrinterCallback, TrainerCallback

    seconds: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            seconds.append(-now())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds[-1] += now()

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Clock())
    trainer.train()
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    trace = [row for row in map(traced, trainer.state.log_history) if row]
    return {"seconds": statistics.median(seconds[STEPS_TO_WARM_UP:]), "peak_bytes": peak, "trace": trace}


def now() -> float:
    """Return the time once the device has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def traced(row: dict[str, Any]) -> dict[str, float]:
    """Return entropy, coefficient and reward of a line of the trainer's log."""
    if "entropy" not in row:
        return {}
    coefficient = row.get("entropy_control/coef", row.get("entropy_coef", 0.0))
    names = {"step": "step", "entropy": "entropy", "reward": "reward"}
    return {name: float(row[key]) for name, key in names.items() if key in row} | {"coef": float(coefficient)}


def in_a_process(line: str, start: Path, entropy: float, options: argparse.Namespace) -> dict[str, Any]:
    """Return a training's figures, from a process that has done nothing else."""
    arguments = [f"--line={line}", f"--start={start}", f"--entropy={entropy}", f"--steps={options.steps}"]
    command = [sys.executable, __file__, *arguments, *(["--tiny"] if options.tiny else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{line} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(rounds: list[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row per line: medians over the rounds, each round's figures against its own `none`."""
    rows: list[dict[str, Any]] = []
    for line in LINES:
        ratios = [each[line]["seconds"] / each["none"]["seconds"] for each in rounds]
        peaks = [each[line]["peak_bytes"] / (each["none"]["peak_bytes"] or 1) for each in rounds]
        row = {
            "line": line,
            "step_ms": f"{statistics.median(each[line]['seconds'] for each in rounds) * 1e3:.1f}",
            "step_ratio": f"{statistics.median(ratios):.3f}",
            "step_ratio_lowest": f"{min(ratios):.3f}",
            "step_ratio_highest": f"{max(ratios):.3f}",
            "peak_gib": f"{statistics.median(each[line]['peak_bytes'] for each in rounds) / 2**30:.2f}",
            "peak_ratio": f"{statistics.median(peaks):.3f}",
        }
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Train, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--line", choices=LINES, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--entropy", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    size = TINY if options.tiny else Size()
    with tempfile.TemporaryDirectory() as folder:
        if options.line:
            figures = train(make_trainer(options.line, options.start, options.entropy, size, options.steps, folder))
            print(json.dumps(figures))
            return
        start = Path(folder) / "start"
        entropy = warm_start(size, start)
        rounds = [{line: in_a_process(line, start, entropy, options) for line in LINES} for _ in range(options.rounds)]
    facts = machine() | {"steps": options.steps, "rounds": options.rounds} | asdict(size)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    rows = compare(rounds)
    if options.out is not None:
        write_table(options.out / "training_cost.csv", rows, facts)
        traces = [{"line": line, **row} for line in LINES for row in rounds[0][line]["trace"]]
        write_table(options.out / "training_trace.csv", traces)


if __name__ == "__main__":
    main()
