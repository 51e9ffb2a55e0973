"""Two steps of `EntropyGRPOTrainer` itself, without a job, shown to TensorBoard. Run with a directory to write."""

from __future__ import annotations

import sys

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig

from entrostat import recipes
from entrostat.integrations.trl import EntropyGRPOTrainer
from entrostat.tasks import warm_start_path


def length(completions: list[str], **_: object) -> list[float]:
    return [float(len(text)) for text in completions]


def main(output_dir: str) -> None:
    source = str(warm_start_path())
    EntropyGRPOTrainer(
        AutoModelForCausalLM.from_pretrained(source),
        length,
        args=GRPOConfig(
            output_dir=output_dir,
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=8,
            max_steps=2,
            logging_steps=1,
            save_strategy="no",
            report_to="tensorboard",
            use_cpu=True,
            bf16=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": "<bos> 7 3 3 > 16 :"}] * 8),
        processing_class=AutoTokenizer.from_pretrained(source),
        recipe=recipes.aent(low=0.2, high=0.4),
    ).train()


if __name__ == "__main__":
    main(sys.argv[1])
