"""The head's memory as counted and as torch allocates it; the model of a config; bytes between ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from entrostat.integrations.cost import CONTROL_BYTES, head_cost, meta_model, model_head_cost, parameters, ring_bytes
from entrostat.ops import linear_token_stats

from ..allocated import allocated

ROWS, VOCAB, WIDTH = 1024, 128, 64


@pytest.mark.parametrize("kept", [True, False])
def test_the_fused_head_allocates_as_much(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("entrostat.ops._linear_token_stats", "entrostat.integrations.cost"):
        monkeypatch.setattr(f"{module}.KEPT_PRODUCT_BYTES", 1 << 30 if kept else 0)
    hidden = torch.randn(ROWS, WIDTH, requires_grad=True)
    weight, targets = torch.randn(VOCAB, WIDTH, requires_grad=True), torch.zeros(ROWS, dtype=torch.long)
    linear_token_stats(hidden, weight, targets, clamp=0.3).logprobs.sum().backward()
    forward = allocated(lambda: linear_token_stats(hidden, weight, targets, clamp=0.3))
    loss = (forward.answer.logprobs + forward.answer.clamped_entropy).sum()
    hidden.grad = weight.grad = None
    backward = allocated(loss.backward)
    cost = head_cost(ROWS, VOCAB, WIDTH, compute="float32")
    products = cost.held if kept else 0
    # Hidden states and targets were there before.
    assert cost.statistics - targets.nbytes + products == pytest.approx(forward.kept, rel=0.01)
    assert cost.statistics - targets.nbytes + cost.forward == pytest.approx(forward.peak, rel=0.03)
    assert cost.backward - products == pytest.approx(backward.peak, rel=0.03)


def test_the_head_counted_by_hand() -> None:
    cost = head_cost(8192, 151936, 1536)
    assert cost.avoided == 2 * 8192 * 151936 * 2
    assert cost.held == (1 << 25) // 151936 * 151936 * 2
    assert cost.held_by_trl == 4096 * 32768 * 2
    assert cost.hidden == 8192 * 1536 * 4, "autocast leaves the residual stream in fp32"
    assert cost.statistics == 8192 * 44
    frozen, whole = (head_cost(8192, 151936, 1536, compute="float32", trained=trained) for trained in (False, True))
    assert whole.backward - frozen.backward == 151936 * 1536 * 4
    assert "avoids 4.64 GiB of logits and their gradient for 8,192 tokens" in cost.sentence


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"rows": 0}, "`rows` must be at least 1"), ({"compute": "float8"}, "unknown dtype 'float8'")],
)
def test_bad_sizes_are_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        head_cost(**{"rows": 8, "vocab": 128, "width": 64, **changes})


def test_bytes_between_ranks() -> None:
    assert ring_bytes(CONTROL_BYTES, 1) == 0
    assert ring_bytes(CONTROL_BYTES, 1000) == 119
    assert ring_bytes(800, 8) == 2 * 7 * 100


def test_a_model_from_its_config_alone(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": True}
    config = transformers.Qwen2Config(**sizes, **heads)
    config.save_pretrained(tmp_path)
    model = meta_model(str(tmp_path))
    assert all(parameter.is_meta for parameter in model.parameters())
    real = transformers.AutoModelForCausalLM.from_config(config)
    assert parameters(model) == sum(parameter.numel() for parameter in real.parameters())
    assert model_head_cost(model, 32) == head_cost(32, 128, 64)
    assert torch.get_default_device() == torch.device("cpu")


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
    pytest.importorskip("transformers")
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=says) as raised:
        meta_model(str(tmp_path))
    assert len(str(raised.value).splitlines()) == 1


def test_a_hub_id_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match="could not be fetched here") as raised:
        meta_model("nobody/nothing-here")
    assert "Save its config.json into a directory" in str(raised.value)
