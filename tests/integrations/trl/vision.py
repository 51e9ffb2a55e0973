"""A vision-language model small enough to train in a test: LLaVA over four patches of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from .conftest import WORDS, even_words, tiny_tokenizer

SIDE, PATCH = 16, 8
PICTURE = len(WORDS)
"""The token that stands for a patch in a prompt; the model must not say it."""

TEMPLATE = """
{%- for message in messages %}<bos> {% for part in message['content'] -%}
{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"""


def model(folder: Path) -> Any:
    torch.manual_seed(0)
    heads = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    sight = CLIPVisionConfig(**heads, num_hidden_layers=2, image_size=SIDE, patch_size=PATCH)
    text = LlamaConfig(
        **heads, vocab_size=PICTURE + 1, num_hidden_layers=1, num_key_value_heads=2, max_position_embeddings=32,
        tie_word_embeddings=False, pad_token_id=0, bos_token_id=1, eos_token_id=2, initializer_range=0.3,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=sight, text_config=text, image_token_id=PICTURE, image_seq_length=(SIDE // PATCH) ** 2,
        vision_feature_layer=-1, tie_word_embeddings=False,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config)


def processor() -> LlavaProcessor:
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    return LlavaProcessor(
        pictures, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )  # fmt: skip


def tasks() -> dict[str, Any]:
    """Return what a trainer needs beside the model: prompts with a picture each, the processor, a reward."""
    from PIL import Image

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return even_words([completion[0]["content"] for completion in completions])

    rows = [
        {
            "prompt": [{"role": "user", "content": f"w{number} w{number + 1}"}],
            "image": Image.new("RGB", (SIDE, SIDE), (15 * number, 90, 255 - 15 * number)),
        }
        for number in range(16)
    ]
    return {"train_dataset": Dataset.from_list(rows), "processing_class": processor(), "reward_funcs": reward}
