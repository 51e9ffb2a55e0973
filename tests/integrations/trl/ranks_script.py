"""Run by `test_ranks.py` on one or more ranks: three steps per recipe on one fixed global batch, each rank on its rows.

Nothing is sampled, so the ranks see together exactly what a single process sees alone: a rollout batch of two
micro-batches, its groups spread over the ranks, uneven lengths, responses and at times a whole rank without a token.
Prints one line of JSON on rank 0: of each recipe the coefficients on every rank, the logged statistics and the gradient
of every step.

    ranks_script.py MODEL NAME [NAME ...]              registered recipes with the embedded job's settings, or "masked"
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
import warnings
from typing import Any

import torch
import torch.distributed as dist
from datasets import Dataset
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig

from entrostat import recipes
from entrostat.edits import EntropyMask
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.integrations.trl._batch import CARRIED
from entrostat.jobs.settings import Job

ROWS, LENGTH, VOCAB, GROUP = 8, 6, 37, 4
STEPS = 3


def recipe_of(name: str) -> tuple[Any, dict[str, Any]]:
    if name == "masked":
        band: dict[str, Any] = {"low": 2.9, "high": 3.0, "initial": 0.5, "rate": 0.5, "floor": 0.0, "ceiling": 5.0}
        return recipes.aent(clamp=0.4, **band, warmup=1).with_edits(EntropyMask(keep=0.5)), {}
    line = Job().with_recipes([name]).recipes[0]
    # Nothing is drawn here, so nothing can be drawn again; `test_recipes_rollouts.py` draws on two ranks.
    return dataclasses.replace(line.build(), redraw=None), dict(line.train)


def trainer(name: str, tokenizer: PreTrainedTokenizerFast, rows: int) -> Any:
    torch.manual_seed(0)
    recipe, train = recipe_of(name)
    args = GRPOConfig(
        tempfile.mkdtemp(), use_cpu=True, bf16=False, per_device_train_batch_size=rows // 2, num_generations=GROUP,
        gradient_accumulation_steps=2, steps_per_generation=2, num_iterations=2, max_completion_length=LENGTH,
        report_to="none", beta=train.get("beta", 0.0), loss_type=train.get("loss_type", "dapo"),
    )  # fmt: skip
    control = EntropyGRPOTrainer(
        LlamaForCausalLM.from_pretrained(sys.argv[1]), lambda completions, **_: [0.0] * len(completions), args=args,
        recipe=recipe, train_dataset=Dataset.from_list([{"prompt": "w1"}] * 8), processing_class=tokenizer,
    )  # fmt: skip
    control.state.max_steps = 10
    control.begin(10)
    return control


def rollouts(step: int) -> dict[str, Any]:
    """Return a step's global rollout batch: uneven lengths, and the second quarter of the rows empty."""
    generator = torch.Generator().manual_seed(step)
    mask = torch.zeros(ROWS, LENGTH, dtype=torch.long)
    for row in range(ROWS):
        mask[row, : (3 * row + step + 1) % (LENGTH + 1)] = 1
    mask[ROWS // 4 : ROWS // 2] = 0
    rewards = torch.randint(0, 2, (ROWS,), generator=generator).float()
    groups = torch.arange(ROWS) % (ROWS // GROUP)
    old = -3 - torch.rand(ROWS, LENGTH, generator=generator)
    return {
        "prompt_ids": torch.randint(3, VOCAB, (ROWS, 3), generator=generator),
        "prompt_mask": torch.ones(ROWS, 3, dtype=torch.long),
        "completion_ids": torch.randint(3, VOCAB, (ROWS, LENGTH), generator=generator),
        "completion_mask": mask,
        "advantages": torch.randn(ROWS, generator=generator),
        "old_per_token_logps": old,
        "ref_per_token_logps": old + 0.1 * torch.randn(ROWS, LENGTH, generator=generator),
        "num_items_in_batch": mask.sum(),
        CARRIED["rewards"]: rewards,
        CARRIED["group_ids"]: groups,
    }


def pick(batch: dict[str, Any], rows: list[int]) -> dict[str, Any]:
    return {name: value[rows] if value.dim() else value for name, value in batch.items()}


def own_rows(rank: int, ranks: int) -> list[list[int]]:
    """Return the rows of this rank, micro-batch by micro-batch: its share of each global micro-batch."""
    size = ROWS // 2 // ranks
    return [[half * ROWS // 2 + rank * size + row for row in range(size)] for half in range(2)]


def measure(name: str, tokenizer: PreTrainedTokenizerFast, rank: int, ranks: int) -> dict[str, Any]:
    control = trainer(name, tokenizer, ROWS // ranks)
    control.model.train()
    control.current_gradient_accumulation_steps = 2
    mine = own_rows(rank, ranks)
    gradients: list[list[float]] = []
    coefs: list[float] = []
    for step in range(STEPS):
        control._draw = lambda inputs, step=step: pick(rollouts(step), [row for half in mine for row in half])
        fresh = control._generate_and_score_completions([{}] * (ROWS // ranks))
        size = ROWS // 2 // ranks
        control._buffered_inputs = [pick(fresh, list(range(at * size, (at + 1) * size))) for at in range(2)]
        control.model.zero_grad()
        for number, inputs in enumerate(control._buffered_inputs):
            control._step = 2 * step + number
            control.accelerator.gradient_state._set_sync_gradients(number == 1)
            control.compute_loss(control.model, inputs).backward()
        control.state.global_step += 1
        flat = torch.cat([parameter.grad.flatten() for parameter in control.model.parameters()])
        if ranks > 1:
            dist.all_reduce(flat)  # what DDP does: the mean over ranks
            flat /= ranks
        gradients.append(flat.tolist())
        coefs.append(control.regulator.coefficient)
    everywhere: list[Any] = [coefs]
    if ranks > 1:
        everywhere = [None] * ranks
        dist.all_gather_object(everywhere, coefs)
    metrics = {key: values for key, values in control._metrics["train"].items() if "control/" in key}
    return {"coefs": everywhere, "metrics": metrics, "gradients": gradients}


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error", recipes.InertRecipeWarning)
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])
    found: dict[str, Any] = {}
    for name in sys.argv[2:]:
        try:
            found[name] = measure(name, tokenizer, rank, ranks)
        except Exception as error:
            raise RuntimeError(f"recipe {name!r} on rank {rank} of {ranks}") from error
    if rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
