"""Run by `test_redraw_ranks.py` on two ranks: AEPO's second draw, really sampled, and one training step on it.

Prints one line of JSON on rank 0: what each rank held.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

import torch
import torch.distributed as dist
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig

from entrostat import recipes
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.integrations.trl._batch import CARRIED


def even_words(completions: list[str], **_: Any) -> list[float]:
    return [sum(word[1:] in "02468" for word in text.split()) / 6 for text in completions]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=37, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.3,
    )  # fmt: skip
    args = GRPOConfig(
        tempfile.mkdtemp(), use_cpu=True, bf16=False, per_device_train_batch_size=8, num_generations=4, max_steps=2,
        max_completion_length=6, report_to="none", save_strategy="no", beta=0.0, disable_tqdm=True,
        gradient_checkpointing=False, logging_steps=1,
    )  # fmt: skip
    trainer: Any = EntropyGRPOTrainer(
        LlamaForCausalLM(config), even_words, args=args, recipe=recipes.aepo(target=0.0, limit=0.25, limit_cooling=0.5),
        train_dataset=Dataset.from_list([{"prompt": f"<bos> w{number}"} for number in range(16)]),
        processing_class=PreTrainedTokenizerFast.from_pretrained(sys.argv[1]),
    )  # fmt: skip
    held: list[dict[str, Any]] = []
    generate = trainer._generate_and_score_completions

    def keeping(inputs: Any) -> Any:
        output = generate(inputs)
        held.append(
            {
                "groups": output[CARRIED["group_ids"]].tolist(),
                "advantages": output["advantages"].tolist(),
                "tokens": int(output["completion_mask"].sum()),
                "items": int(output["num_items_in_batch"]),
            }
        )
        return output

    trainer._generate_and_score_completions = keeping
    trainer.train()
    mine = {
        "held": held,
        "coef": trainer.regulator.coefficient,
        "weights": float(sum(weight.double().sum() for weight in trainer.model.parameters())),
        "log": [
            {name: entry[f"entropy_control/{name}"] for name in ("redraw_share", "redraw_temperature", "coef")}
            for entry in trainer.state.log_history
            if "entropy_control/redraw_share" in entry
        ],
    }
    everywhere: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everywhere, mine)
    if dist.get_rank() == 0:
        print(json.dumps(everywhere))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
