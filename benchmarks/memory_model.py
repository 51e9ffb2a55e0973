"""The plan's memory against what torch allocates: small models trained for two micro-batches on the CPU.

Every case runs in a process of its own. Allocations are counted byte for byte by torch's profiler (temporaries inside
kernels too; memory of C libraries is not seen). Predicted over measured, of

    states        parameters, gradients and AdamW's moments after a step
    activations   what the backbone's forward pass leaves for the backward pass
    head          the most our fused head holds in its two passes
    update        the most of a whole forward and backward pass, gradients of an earlier micro-batch being there

    python benchmarks/memory_model.py [--quick] [--out benchmarks/results/memory_model.csv]
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import multiprocessing
import os
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from entrostat.integrations.plan import Lora, Setup, shape_of
from entrostat.integrations.plan._activations import activations
from entrostat.integrations.plan._head import head_bytes
from entrostat.integrations.plan._states import states
from entrostat.jobs.bench._allocated import allocated
from entrostat.jobs.bench._bench import machine
from entrostat.jobs.bench._table import write_table
from entrostat.ops import linear_token_stats

ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model and how it is trained."""

    family: str = "qwen2"
    hidden: int = 64
    layers: int = 4
    vocab: int = 4096
    length: int = 128
    sequences: int = 4
    precision: str = "float32"
    checkpointing: bool = False
    adapter: bool = False

    def config(self) -> Any:
        """Return a config with four times the width inside and a key head for every two query heads.

        Two key heads at least: a single one is repeated without a copy.
        """
        kind = {"qwen2": transformers.Qwen2Config, "llama": transformers.LlamaConfig}[self.family]
        heads = max(4, self.hidden // 32)
        return kind(
            vocab_size=self.vocab, hidden_size=self.hidden, intermediate_size=4 * self.hidden,
            num_hidden_layers=self.layers, num_attention_heads=heads, num_key_value_heads=heads // 2,
            max_position_embeddings=self.length, tie_word_embeddings=self.family == "qwen2",
        )  # fmt: skip

    @property
    def lora(self) -> Lora | None:
        """The adapter, if it has one."""
        return Lora(rank=8, targets=ADAPTED) if self.adapter else None

    def setup(self) -> Setup:
        """Return what the plan is told; on a CPU the head is given every position."""
        return Setup(
            sequences=self.sequences, prompt=self.length // 2, completion=self.length - self.length // 2,
            weights="bfloat16" if self.precision == "bfloat16" else "float32",
            compute="float32" if self.precision == "float32" else "bfloat16",
            checkpointing=self.checkpointing, compact=False,
        )  # fmt: skip


def cases(quick: bool) -> list[Case]:
    """Return one case after another: each size alone, then the ways to train."""
    if quick:
        return [Case(), Case(checkpointing=True)]
    sizes = [
        *(Case(hidden=hidden) for hidden in (32, 128, 256)),
        *(Case(layers=layers) for layers in (2, 8)),
        *(Case(length=length) for length in (64, 512)),
        *(Case(vocab=vocab) for vocab in (512, 32768)),
        *(Case(sequences=sequences) for sequences in (1, 8)),
        *(Case(family="llama", hidden=hidden) for hidden in (64, 128)),
    ]
    ways = itertools.product(("float32", "bfloat16", "autocast"), (False, True), (False, True))
    return sizes + [Case(precision=p, checkpointing=c, adapter=a) for p, c, a in ways]


class Training:
    """A model, its optimizer and one micro-batch."""

    def __init__(self, case: Case) -> None:
        self.case = case
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(case.config())
        model = model.bfloat16() if case.precision == "bfloat16" else model
        self.base = self.model = model
        if case.adapter:
            from peft import LoraConfig, get_peft_model

            self.model = get_peft_model(model, LoraConfig(r=8, target_modules=list(ADAPTED)))
            self.model.enable_input_require_grads()
            self.base = self.model.get_base_model()
        self.model.train()
        if case.checkpointing:
            self.base.gradient_checkpointing_enable()
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5, fused=True)
        self.ids = torch.randint(case.vocab, (case.sequences, case.length))
        self.mask = torch.ones_like(self.ids)
        self.mask[0, :3] = 0

    def forward(self) -> torch.Tensor:
        """Return the backbone's last hidden states."""
        with self.precision():
            out = self.base.base_model(input_ids=self.ids, attention_mask=self.mask, use_cache=False)
        return out.last_hidden_state

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return a loss with the clamped entropy in it, through our fused head."""
        with self.precision():
            stats = linear_token_stats(
                hidden[:, :-1], self.base.get_output_embeddings().weight, self.ids[:, 1:], clamp=0.33
            )
        return -(stats.logprobs + 0.01 * stats.clamped_entropy).mean()

    def precision(self) -> Any:
        """Return autocast, or nothing."""
        mixed = self.case.precision == "autocast"
        return torch.autocast("cpu", torch.bfloat16) if mixed else contextlib.nullcontext()

    def update(self) -> None:
        """One forward and one backward pass; as with TRL, one autocast is around backbone and head."""
        with self.precision():
            loss = self.head(self.forward())
        loss.backward()


def measure(case: Case) -> dict[str, int]:
    """Return what torch allocated, in bytes."""
    torch.set_num_threads(1)
    training = Training(case)
    parameters = sum(parameter.nbytes for parameter in training.model.parameters())
    first = allocated(lambda: (training.update(), training.optimizer.step())[0])
    forward = allocated(training.forward)
    hidden, kept = forward.answer.detach().requires_grad_(), forward.kept
    del forward
    head = allocated(lambda: training.head(hidden))
    back = allocated(head.answer.backward)
    return {
        "states": parameters + first.kept,
        "activations": kept,
        "head": max(head.peak, head.kept + back.peak),
        "update": allocated(training.update).peak,
    }


def predict(case: Case) -> dict[str, int]:
    """Return what the plan says, in bytes."""
    shape, setup = shape_of(case.config(), lora=case.lora), case.setup()
    held, kept, head = states(shape, setup), activations(shape, setup), head_bytes(shape, setup)
    in_head = head.products + max(kept.casts + head.forward, head.backward)
    fullest = max(in_head, head.waiting + kept.block + kept.transient)
    return {
        "states": held.parameters + held.gradients + held.optimizer,
        "activations": kept.kept,
        "head": head.kept + head.products + max(head.forward, head.backward),
        "update": kept.kept + head.kept + fullest,
    }


def run(case: Case) -> dict[str, Any]:
    """Return a row of the table; called in a process of its own."""
    predicted, measured = predict(case), measure(case)
    row: dict[str, Any] = dict(asdict(case))
    for part, size in measured.items():
        row |= {f"{part}_bytes": size, f"{part}_ratio": f"{predicted[part] / size:.4f}"}
    return row


def main() -> None:
    """Print the ratios, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two cases")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    rows: list[dict[str, Any]] = []
    parts = ("states", "activations", "head", "update")
    print(f"{'predicted / measured':73}" + " ".join(f"{part:>11}" for part in parts))
    # Forked: every case starts from the same process, which has imported everything and allocated nothing.
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for row in pool.imap(run, cases(options.quick), chunksize=1):
            rows.append(row)
            name = " ".join(str(row[key]) for key in asdict(Case()))
            print(f"{name:73}" + " ".join(f"{row[f'{p}_ratio']:>11}" for p in parts), flush=True)
    for part in parts:
        ratios = [float(row[f"{part}_ratio"]) for row in rows]
        worst = max(ratios, key=lambda ratio: abs(math.log(ratio)))
        print(f"{part:12} median {statistics.median(ratios):.3f}, worst {worst:.3f}, of {len(ratios)}")
    if options.out is not None:
        facts = machine() | {"transformers": transformers.__version__}
        write_table(options.out, rows, facts)


if __name__ == "__main__":
    main()
