"""Models for the tests of the plan."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig, Qwen2Config, Qwen3Config, Qwen3MoeConfig

TINY: dict[str, Any] = {
    "vocab_size": 128, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256, "tie_word_embeddings": True,
}  # fmt: skip
MOE = {"moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2}


def configs() -> dict[str, Any]:
    return {
        "qwen2 tied, grouped keys": Qwen2Config(**TINY),
        "llama not tied": LlamaConfig(**{**TINY, "tie_word_embeddings": False, "num_key_value_heads": 4}),
        "qwen3 norms of queries and keys": Qwen3Config(**TINY),
        "qwen3 experts": Qwen3MoeConfig(**TINY, **MOE),
    }


def qwen25_15b() -> Qwen2Config:
    """The shape of Qwen2.5-1.5B."""
    return Qwen2Config(
        vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, tie_word_embeddings=True, architectures=["Qwen2ForCausalLM"],
    )  # fmt: skip
