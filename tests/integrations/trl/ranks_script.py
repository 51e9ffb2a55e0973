"""Run by `test_ranks.py`, on one or more ranks: three optimizer steps on one fixed global batch, each rank on its rows.

Nothing is sampled, so the ranks see together exactly what a single process sees alone. Prints one line of JSON on rank
0: coefficients, logged statistics and the summed-up gradient of every step.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

import torch
import torch.distributed as dist
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig

from entrostat import recipes
from entrostat.edits import EntropyMask
from entrostat.integrations.trl import EntropyGRPOTrainer

ROWS, LENGTH, VOCAB = 8, 6, 37


def trainer(tokenizer: PreTrainedTokenizerFast, rows: int) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.3,
    )  # fmt: skip
    args = GRPOConfig(
        tempfile.mkdtemp(), use_cpu=True, bf16=False, per_device_train_batch_size=rows // 2, num_generations=4,
        gradient_accumulation_steps=2, max_completion_length=LENGTH, report_to="none", beta=0.0,
    )  # fmt: skip
    recipe = recipes.aent(
        clamp=0.4, low=2.9, high=3.0, initial=0.5, rate=0.5, floor=0.0, ceiling=5.0, warmup=1
    ).with_edits(EntropyMask(keep=0.5))
    return EntropyGRPOTrainer(
        LlamaForCausalLM(config), lambda completions, **_: [0.0] * len(completions), args=args, recipe=recipe,
        train_dataset=Dataset.from_list([{"prompt": "w1"}] * 8), processing_class=tokenizer,
    )  # fmt: skip


def micro_batches(step: int) -> list[dict[str, torch.Tensor]]:
    """Return the two global micro-batches of a step; uneven lengths, and the last four rows of the first one empty."""
    generator = torch.Generator().manual_seed(step)
    batches: list[dict[str, torch.Tensor]] = []
    for number in range(2):
        mask = torch.zeros(ROWS // 2, LENGTH, dtype=torch.long)
        for row in range(ROWS // 2):
            mask[row, : (3 * row + step + 1) % (LENGTH + 1)] = 1
        if number == 0:
            mask[ROWS // 4 :] = 0
        batches.append(
            {
                "prompt_ids": torch.randint(3, VOCAB, (ROWS // 2, 3), generator=generator),
                "prompt_mask": torch.ones(ROWS // 2, 3, dtype=torch.long),
                "completion_ids": torch.randint(3, VOCAB, (ROWS // 2, LENGTH), generator=generator),
                "completion_mask": mask,
                "advantages": torch.randn(ROWS // 2, generator=generator),
            }
        )
    tokens = sum(batch["completion_mask"].sum() for batch in batches)
    return [{**batch, "num_items_in_batch": torch.as_tensor(tokens)} for batch in batches]


def share(batch: dict[str, torch.Tensor], rank: int, ranks: int) -> dict[str, torch.Tensor]:
    size = ROWS // 2 // ranks
    return {name: value[rank * size : (rank + 1) * size] if value.dim() else value for name, value in batch.items()}


def main() -> None:
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    control = trainer(PreTrainedTokenizerFast.from_pretrained(sys.argv[1]), ROWS // ranks)
    control.model.train()
    control.current_gradient_accumulation_steps = 2
    gradients: list[list[float]] = []
    for step in range(3):
        control.model.zero_grad()
        control._buffered_inputs = [share(batch, rank, ranks) for batch in micro_batches(step)]
        for number, inputs in enumerate(control._buffered_inputs):
            control._step = number
            control.accelerator.gradient_state._set_sync_gradients(number == 1)
            control.compute_loss(control.model, inputs).backward()
        flat = torch.cat([parameter.grad.flatten() for parameter in control.model.parameters()])
        if ranks > 1:
            dist.all_reduce(flat)  # what DDP does: the mean over ranks
            flat /= ranks
        gradients.append(flat.tolist())
    metrics = {name: values for name, values in control._metrics["train"].items() if "control/" in name}
    gathered = [control.regulator.coefficient]
    if ranks > 1:
        everywhere: list[Any] = [None] * ranks
        dist.all_gather_object(everywhere, control.regulator.coefficient)
        gathered = everywhere
    if rank == 0:
        print(json.dumps({"coefs": gathered, "metrics": metrics, "gradients": gradients}))


if __name__ == "__main__":
    main()
