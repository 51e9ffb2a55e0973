"""The fused head equals the full-logits computation, in value and gradient, with everything TRL's head honours."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from entrostat.integrations.trl._head import SLOTS, HeadRequest, Recorder
from entrostat.ops import Support
from entrostat.ops._reference import reference_token_stats

from .conftest import needs_trl_s_kernel, tiny_model

IDS = torch.tensor([[1, 5, 9, 3, 7, 2], [0, 1, 8, 8, 30, 36]])
LABELS = torch.tensor([[-100, -100, 9, 3, 7, 2], [-100, -100, -100, 8, 30, 36]])
SUPPORT = Support(clamp=0.4)


def fused(model: Any, *, temperature: float, fp32: bool = False) -> Any:
    add_fused_lm_head(model, temperature=temperature, cast_lm_head_to_fp32=fp32, outputs=("log_probs", "entropy"))
    request = HeadRequest(support=SUPPORT, watched=torch.arange(37).float().ge(30).float())
    recorder = Recorder(model, request, keep=5)
    return recorder(input_ids=IDS, attention_mask=torch.ones_like(IDS), labels=LABELS, fused_lm_head=True)


def explicit(model: Any, *, temperature: float, softcap: float | None, scale: float) -> Any:
    hidden = model.model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).last_hidden_state[:, :-1]
    logits = model.lm_head(hidden).double() * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    rows = logits.reshape(-1, 37)
    stats = reference_token_stats(
        rows, LABELS[:, 1:].clamp(min=0).reshape(-1), support=SUPPORT, temperature=temperature
    )
    mass = (rows / temperature).softmax(-1)[:, 30:].sum(-1)
    return [value.view(2, 5) for value in (*stats, mass)]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize(("softcap", "scale"), [(None, 1.0), (5.0, 1.0), (None, 0.25), (4.0, 2.0)])
def test_the_head_gives_the_full_computation_s_values_and_gradients(
    temperature: float, softcap: float | None, scale: float
) -> None:
    grads: list[list[torch.Tensor]] = []
    values: list[list[torch.Tensor]] = []
    mask = LABELS[:, 1:] != -100
    for way in ("fused", "explicit"):
        model = tiny_model(final_logit_softcapping=softcap, logit_scale=scale)
        if way == "fused":
            output = fused(model, temperature=temperature)
            found = [output.log_probs, output.entropy, *(getattr(output, slot) for slot in SLOTS.values())]
        else:
            found = explicit(model, temperature=temperature, softcap=softcap, scale=scale)
        values.append([value[mask] for value in found])
        weights = torch.linspace(0.5, 1.5, int(mask.sum()))
        sum((part[mask] * weights * (index + 1)).sum() for index, part in enumerate(found[:4])).backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    for ours, full in zip(*values, strict=True):
        torch.testing.assert_close(ours.double(), full.double(), rtol=1e-4, atol=1e-5)
    for ours, full in zip(*grads, strict=True):
        torch.testing.assert_close(ours, full, rtol=1e-3, atol=1e-5)


def test_a_head_in_fp32_is_computed_in_fp32_under_autocast() -> None:
    model = tiny_model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = fused(model, temperature=1.0, fp32=True).entropy
        rough = fused(model, temperature=1.0, fp32=False).entropy
    assert exact.dtype == rough.dtype == torch.float32
    hidden = model.model(input_ids=IDS).last_hidden_state
    assert hidden.dtype == torch.float32
    assert not torch.equal(exact, rough)


@needs_trl_s_kernel
def test_other_calls_keep_trl_s_own_kernel() -> None:
    fused(tiny_model(), temperature=1.0)
    other = tiny_model()
    add_fused_lm_head(other, outputs=("log_probs", "entropy", "is_top1"))
    output = other(input_ids=IDS, labels=LABELS, fused_lm_head=True)
    assert output.is_top1.dtype == torch.bool  # TRL's meaning of the slot, not ours


def test_generation_does_not_go_through_the_head() -> None:
    model = tiny_model()
    before = model(input_ids=IDS).logits
    fused(model, temperature=0.5)
    torch.testing.assert_close(model(input_ids=IDS).logits, before)
