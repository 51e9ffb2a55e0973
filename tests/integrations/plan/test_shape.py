"""Sizes are counted, not estimated."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch
from transformers import AutoModelForCausalLM

from entrostat.integrations.plan import Lora, read_shape, shape_of

from .shapes import configs, qwen25_15b


@pytest.mark.parametrize("name", configs())
def test_every_parameter_is_counted_once(name: str) -> None:
    config = configs()[name]
    model = AutoModelForCausalLM.from_config(config)
    shape = shape_of(config, name=name)
    assert shape.parameters == shape.trainable == sum(p.numel() for p in model.parameters())
    assert shape.tied == config.tie_word_embeddings
    assert shape.embedding_parameters == shape.parameters - sum(p.numel() for p in model.model.layers.parameters())
    assert (shape.queries, shape.keys) == (64, 16 * config.num_key_value_heads)
    assert shape.head_parameters == model.lm_head.weight.numel()


def test_a_token_passes_through_some_experts_only() -> None:
    shape = shape_of(configs()["qwen3 experts"])
    one_expert = 3 * 64 * 32
    assert shape.parameters - shape.active == 3 * (8 - 2) * one_expert
    assert (shape.experts, shape.experts_per_token, shape.inner, shape.expert_inner) == (8, 2, 0, 32)
    dense = shape_of(configs()["llama not tied"])
    assert dense.active == dense.parameters


def test_the_shape_of_qwen25_15b_from_its_config_alone(tmp_path: Path) -> None:
    qwen25_15b().save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    shape = read_shape(str(tmp_path))
    # Embeddings; per block queries and output, keys and values, their biases, feed-forward, norms; the last norm.
    block = 2 * 1536 * 1536 + 2 * 1536 * 256 + 1536 + 2 * 256 + 3 * 1536 * 8960 + 2 * 1536
    assert shape.parameters == 151936 * 1536 + 28 * block + 1536 == 1_543_714_304
    assert shape.block_parameters == block


@pytest.mark.parametrize("targets", [(), ("q_proj", "down_proj")])
def test_an_adapter_s_parameters(targets: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft")
    config = configs()["qwen2 tied, grouped keys"]
    shape = shape_of(config, lora=Lora(rank=4, targets=targets))
    adapted = peft.get_peft_model(
        AutoModelForCausalLM.from_config(config), peft.LoraConfig(r=4, target_modules=list(targets) or None)
    )
    assert shape.trainable == sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert shape.parameters == shape_of(config).parameters
    assert sum(linear.adapted for linear in shape.linears) == 2


def test_no_memory_is_taken() -> None:
    before = torch.get_default_device()
    shape_of(qwen25_15b())
    assert torch.get_default_device() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "config.json"),
        ("{", "config.json"),
        ('{"model_type": "nonsense"}', "config.json"),
        ('{"model_type": "vit"}', "`model` must be a causal language model"),
    ],
)
def test_a_directory_without_a_usable_config(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=says) as raised:
        read_shape(str(tmp_path))
    assert len(str(raised.value).splitlines()) == 1


def test_a_hub_id_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="could not be fetched here") as raised:
        read_shape("nobody/nothing-here")
    assert "Save its config.json into a directory" in str(raised.value)


def test_an_adapter_for_layers_that_are_not_there() -> None:
    pytest.importorskip("peft")
    with pytest.raises(ValueError, match="fit no layer of this model"):
        shape_of(configs()["llama not tied"], lora=Lora(targets=("c_attn",)))
    with pytest.raises(ValueError, match="`rank` must be at least 1"):
        Lora(rank=0)
