"""Run by `test_launch.py`: real training on one or more ranks, started by `accelerate launch` or by plain Python.

Everything is TRL's and accelerate's own: prompts come from the dataset over TRL's sampler, the model generates, is
scored, wrapped and stepped. Two things are settled so that any number of ranks sees the same data in the same order:

- each response is sampled alone, from a seed that its place in the global batch decides;
- the rows of a generation batch are not shuffled, and one process cuts them into the micro-batches that two would.

Responses end after a number of words that varies by row. An environment "wrote" some of their tokens, which TRL masks
(`env_mask`); in every second generation batch it wrote everything that rank 1 holds. Three micro-batches per generation
batch and two per step: windows span generation batches, and the last window of an epoch is short.

    launch_script.py MODEL OUT NAME [NAME ...] [--fsdp2 | --zero3]     recipes; OUT gets one JSON file per rank

With `--fsdp2`, `aent` trains once more, under accelerate's FSDP2 (the entry `fsdp2`); with `--zero3` under DeepSpeed's
ZeRO-3, and nothing else does, as its choice holds for a whole process.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from datasets import Dataset
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig
from trl.trainer import grpo_trainer

from entrostat import recipes
from entrostat.integrations.trl import EntropyGRPOTrainer

ROWS, PARTS, LENGTH = 4, 3, 6
"""Rows of a global micro-batch, micro-batches of a generation batch, words of a response at most."""

BAND: dict[str, Any] = {"low": 2.9, "high": 3.0, "initial": 0.5, "rate": 0.5, "floor": 0.0, "ceiling": 5.0}
RECIPES = {
    "aent": lambda: recipes.aent(clamp=0.4, **BAND, warmup=1),
    "high_entropy_tokens": lambda: recipes.high_entropy_tokens(keep=0.5),
    "entropic": lambda: recipes.entropic(target=3.0),
}


def even_words(completions: list[str], **_: Any) -> list[float]:
    return [sum(word[1:] in "02468" for word in text.split()) / LENGTH for text in completions]


class Rollouts:
    """TRL's `rollout_func`: TRL's own generation, row by row."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer, self._batches = tokenizer, 0
        self.tokens: list[int] = []
        """The model's own tokens on this rank, per generation batch."""

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        first = trainer.accelerator.process_index * len(prompts)
        prompt_ids = [self._tokenizer(prompt)["input_ids"] for prompt in prompts]
        words, masks = [], []
        for row, ids in enumerate(prompt_ids, start=first):
            with torch.random.fork_rng():
                torch.manual_seed(1000 * self._batches + row)
                (drawn,), _ = trainer._generate_single_turn([ids], None, {}, 1)
            words.append(drawn[: 1 + (row // 2) % LENGTH])
            masks.append([int(self._model_wrote(row, at)) for at in range(len(words[-1]))])
        self._batches += 1
        self.tokens.append(sum(map(sum, masks)))
        return {"prompt_ids": prompt_ids, "completion_ids": words, "logprobs": None, "env_mask": masks}

    def _model_wrote(self, row: int, position: int) -> bool:
        if self._batches % 2 and row >= ROWS * PARTS // 2:
            return False
        return row % 2 == 0 or position not in (1, 2)


def in_order(batch: dict[str, Any]) -> dict[str, Any]:
    """In place of TRL's shuffle: on one process, the order in which two would cut the rows into micro-batches."""
    rows = len(batch["prompt_ids"])
    if rows < ROWS * PARTS:
        return batch
    order = torch.arange(rows).reshape(2, PARTS, -1).transpose(0, 1).flatten()
    return {name: value[order] if isinstance(value, torch.Tensor) and value.dim() else value
            for name, value in batch.items()}  # fmt: skip


FSDP2 = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP", "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
}  # fmt: skip
"""What `accelerate launch --use_fsdp --fsdp_version 2` tells its processes."""


def shard_on_cpu() -> None:
    """Have accelerate use its FSDP plugin: two gloo ranks are not on its list of who may shard."""
    prepare = AcceleratorState.__init__

    def prepare_and_shard(self: Any, *args: Any, fsdp_plugin: Any = None, **kwargs: Any) -> None:
        prepare(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = prepare_and_shard


ZERO3: dict[str, Any] = {
    "zero_optimization": {"stage": 3}, "zero_force_ds_cpu_optimizer": False, "gradient_clipping": "auto",
    "train_batch_size": "auto", "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto",
}  # fmt: skip


def zero3_on_cpu() -> None:
    """Have accelerate start DeepSpeed on two gloo ranks: with `use_cpu` it would leave it out without a word."""
    PartialState._prepare_backend = lambda self, *args, **kwargs: ("gloo", DistributedType.MULTI_CPU)


def train(name: str, model: Path, ranks: int, **changes: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "use_cpu": True, "bf16": False, "per_device_train_batch_size": ROWS // ranks, "num_generations": 4,
        "gradient_accumulation_steps": 2, "steps_per_generation": PARTS, "max_completion_length": LENGTH,
        "num_train_epochs": 2, "report_to": "none", "save_strategy": "no", "logging_steps": 1, "optim": "sgd",
        "learning_rate": 0.1, "beta": 0.0, "lr_scheduler_type": "constant", "disable_tqdm": True,
        "gradient_checkpointing": False, "loss_type": "dapo", "generation_kwargs": {"min_new_tokens": LENGTH},
    }  # fmt: skip
    args = GRPOConfig(tempfile.mkdtemp(), **{**settings, **changes})
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model)
    rollouts = Rollouts(tokenizer)
    trainer: Any = EntropyGRPOTrainer(
        LlamaForCausalLM.from_pretrained(model), even_words, args=args, recipe=RECIPES[name](),
        train_dataset=Dataset.from_list([{"prompt": f"<bos> w{number}"} for number in range(9)]),
        processing_class=tokenizer, rollout_func=rollouts,
    )  # fmt: skip
    trainer.train()
    weights = list(trainer.model.parameters())
    return {
        "tokens": rollouts.tokens,
        "wrapped": type(trainer.model_wrapped).__name__,
        "held": sum(own_part(weight).numel() for weight in weights),
        "log": [entry for entry in trainer.state.log_history if "entropy_control/entropy" in entry],
        "coef": trainer.regulator.coefficient,
        "weights": torch.cat([whole(weight).flatten() for weight in weights]).tolist(),
    }


def own_part(weight: Any) -> torch.Tensor:
    """Return what this rank holds of a parameter: under FSDP2, under ZeRO-3, or all of it."""
    if hasattr(weight, "to_local"):
        return weight.to_local()
    return getattr(weight, "ds_tensor", weight)


def whole(weight: Any) -> torch.Tensor:
    """Return all of a parameter."""
    if hasattr(weight, "full_tensor"):
        return weight.detach().full_tensor()
    if not hasattr(weight, "ds_tensor"):
        return weight.detach()
    from deepspeed import zero

    with zero.GatheredParameters([weight]):
        return weight.detach().clone()


def main() -> None:
    torch.set_num_threads(1)
    grpo_trainer.shuffle_sequence_dict = in_order
    model, out, *names = (argument for argument in sys.argv[1:] if not argument.startswith("--"))
    if "--zero3" in sys.argv:
        zero3_on_cpu()
        ranks = int(os.environ["WORLD_SIZE"])
        found = {"zero3": train("aent", Path(model), ranks, use_cpu=False, deepspeed=ZERO3)}
    else:
        state = PartialState(cpu=True)
        found = {name: train(name, Path(model), state.num_processes) for name in names}
    if "--fsdp2" in sys.argv:
        os.environ.update(FSDP2)
        AcceleratorState._reset_state()
        found["accelerate"] = str(Accelerator(cpu=True).distributed_type)
        AcceleratorState._reset_state()
        shard_on_cpu()
        found["fsdp2"] = train("aent", Path(model), PartialState().num_processes)
    Path(out, f"rank{PartialState().process_index}.json").write_text(json.dumps(found))
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
