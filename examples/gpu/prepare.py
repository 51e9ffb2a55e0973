"""Write a dataset as the TRL script reads it: a folder with `train.jsonl`, rows of `prompt` (messages) and `answer`.

    python examples/gpu/prepare.py math        # data/math, for aent_math_1.5b.yaml
    python examples/gpu/prepare.py openr1      # data/openr1, for aent_openr1_1.5b.yaml
    python examples/gpu/prepare.py math --source my/copy/of/math --out data/math

Needs the hub, or a copy of the dataset and of the tokenizer on disk. Rows without an answer and prompts of more than
1,024 tokens are left out, as in the published runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrostat.tasks.rewards import boxed

MAX_PROMPT_TOKENS = 1024


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Where a dataset comes from and how its rows are read.

    Args:
        source: its hub id.
        tokenizer: of the model it is for.
        answer: column of the answer; the question's is `problem`.
        from_boxed: the answer stands in the last box of that column.
        instruction: what follows the question.
        rows: how many to keep, drawn with seed 0; 0 for all.
    """

    source: str
    tokenizer: str
    answer: str
    from_boxed: bool
    instruction: str
    rows: int


PREPARATIONS = {
    # The instruction is that of verl's own preparation of MATH; the paper's is not published.
    "math": Preparation(
        source="DigitalLearningGmbH/MATH-lighteval",
        tokenizer="Qwen/Qwen2.5-Math-1.5B",
        answer="solution",
        from_boxed=True,
        instruction="Let's think step by step and output the final answer within \\boxed{}.",
        rows=0,
    ),
    # Published is "40k verifiable samples", not which: these are drawn at random among all that have an answer. The
    # instruction is the one the dataset's own authors put beside each problem.
    "openr1": Preparation(
        source="open-r1/OpenR1-Math-220k",
        tokenizer="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        answer="answer",
        from_boxed=False,
        instruction="Please reason step by step, and put your final answer within \\boxed{}.",
        rows=40_000,
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """Read, choose and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PREPARATIONS)
    parser.add_argument("--source", help="dataset: another hub id, or a folder")
    parser.add_argument("--tokenizer", help="another hub id, or a folder")
    parser.add_argument("--rows", type=int, help="how many rows to keep")
    parser.add_argument("--out", type=Path, help="folder to write; data/NAME if left out")
    options = parser.parse_args(arguments)
    chosen = PREPARATIONS[options.name]
    rows = list(read(chosen, options.source or chosen.source, options.tokenizer or chosen.tokenizer))
    wanted = chosen.rows if options.rows is None else options.rows
    if wanted and len(rows) < wanted:
        parser.exit(2, f"error: only {len(rows):,} rows are fit for use, and {wanted:,} are wanted: give --rows.\n")
    folder = options.out or Path("data") / options.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[: wanted or None])
    print(f"{folder / 'train.jsonl'}: {len(rows[: wanted or None]):,} rows")


def read(chosen: Preparation, source: str, tokenizer: str) -> Iterator[dict[str, Any]]:
    """Yield the rows that are fit for use, in an order drawn with seed 0."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    reader: Any = AutoTokenizer.from_pretrained(tokenizer)
    for row in load_dataset(source, split="train").shuffle(seed=0):
        answer = (boxed(row[chosen.answer]) if chosen.from_boxed else (row[chosen.answer] or "").strip()) or ""
        prompt = [{"role": "user", "content": f"{row['problem']} {chosen.instruction}"}]
        text = reader.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        if answer and len(reader(text)["input_ids"]) <= MAX_PROMPT_TOKENS:
            yield {"prompt": prompt, "answer": answer}


if __name__ == "__main__":
    main()
