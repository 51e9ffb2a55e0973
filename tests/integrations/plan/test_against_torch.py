"""The count of activations and of the head's memory against what torch allocates, on tiny models."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

pytest.importorskip("transformers")

import torch
from transformers import AutoModelForCausalLM

from entrostat.integrations.plan import Lora, Setup, shape_of
from entrostat.integrations.plan._activations import activations
from entrostat.integrations.plan._head import head_bytes
from entrostat.jobs.bench._allocated import allocated
from entrostat.ops import linear_token_stats

from .shapes import configs

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
B, L = 4, 128


def setup(mode: str, **changes: Any) -> Setup:
    weights = "bfloat16" if mode == "bfloat16" else "float32"
    compute = "float32" if mode == "float32" else "bfloat16"
    values = {"sequences": B, "prompt": L // 2, "completion": L // 2, "weights": weights, "compute": compute}
    return Setup(**{**values, "checkpointing": False, **changes})


def kept(model: Any, mode: str, padded: bool) -> int:
    """Return the bytes a forward pass of the backbone leaves allocated."""
    ids = torch.randint(128, (B, L))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0 if padded else 1
    automatic = torch.autocast("cpu", torch.bfloat16) if mode == "autocast" else contextlib.nullcontext()

    def forward() -> Any:
        with automatic:
            return model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state

    forward()
    return allocated(forward).kept


@pytest.mark.parametrize("mode", ["float32", "bfloat16", "autocast"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", configs())
def test_activations(name: str, padded: bool, mode: str) -> None:
    config = configs()[name]
    model = AutoModelForCausalLM.from_config(config).train()
    if mode == "bfloat16":
        model = model.bfloat16()
    expected = activations(shape_of(config), setup(mode, padded=padded)).kept
    # Experts add index tensors of a size that depends on where tokens go.
    assert expected == pytest.approx(kept(model, mode, padded), rel=0.06 if "experts" in name else 0.002)


@pytest.mark.parametrize("mode", ["float32", "bfloat16", "autocast"])
@pytest.mark.parametrize("targets", [ALL, ("q_proj", "v_proj")])
def test_activations_with_an_adapter(mode: str, targets: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft")
    config, lora = configs()["qwen2 tied, grouped keys"], Lora(rank=8, targets=targets)
    model = AutoModelForCausalLM.from_config(config)
    model = model.bfloat16() if mode == "bfloat16" else model
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=8, target_modules=list(targets))).train()
    adapted.enable_input_require_grads()
    expected = activations(shape_of(config, lora=lora), setup(mode)).kept
    assert expected == pytest.approx(kept(adapted.get_base_model(), mode, True), rel=0.015)


@pytest.mark.parametrize("mode", ["float32", "bfloat16", "autocast"])
def test_activations_with_checkpointing(mode: str) -> None:
    config = configs()["qwen2 tied, grouped keys"]
    model = AutoModelForCausalLM.from_config(config).train()
    model = model.bfloat16() if mode == "bfloat16" else model
    model.gradient_checkpointing_enable()
    expected = activations(shape_of(config), setup(mode, checkpointing=True)).kept
    # Beside it the state of the random numbers for every block.
    assert expected == pytest.approx(kept(model, mode, True) - 3 * 5056, rel=0.01)


@pytest.mark.parametrize("few", [True, False])
def test_the_fused_head(few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configs()["llama not tied"]
    monkeypatch.setattr("entrostat.ops._linear_token_stats.KEPT_PRODUCT_BYTES", 1 << 30 if few else 0)
    monkeypatch.setattr("entrostat.integrations.plan._head.KEPT_PRODUCT_BYTES", 1 << 30 if few else 0)
    chosen = setup("float32", sequences=16)
    hidden = torch.randn(chosen.rows, 64, requires_grad=True)
    weight, targets = torch.randn(128, 64, requires_grad=True), torch.zeros(chosen.rows, dtype=torch.long)
    linear_token_stats(hidden, weight, targets, clamp=0.3).logprobs.sum().backward()
    forward = allocated(lambda: linear_token_stats(hidden, weight, targets, clamp=0.3))
    loss = (forward.answer.logprobs + forward.answer.clamped_entropy).sum()
    hidden.grad = weight.grad = None
    backward = allocated(loss.backward)
    expected = head_bytes(shape_of(config), chosen)
    given = hidden.nbytes + targets.nbytes
    kept = expected.kept - given + expected.products
    assert kept == pytest.approx(forward.kept, rel=0.01)
    assert kept + expected.forward == pytest.approx(forward.peak, rel=0.03)
    assert expected.backward == pytest.approx(backward.peak, rel=0.01)
