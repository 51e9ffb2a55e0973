"""The clipped surrogate against its definition, and the one reduction."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entrostat.losses import clipped_surrogate, token_mean


@given(st.integers(0, 10_000))
def test_value_and_gradient_of_the_surrogate(seed: int) -> None:
    torch.manual_seed(seed)
    logprobs = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    old, advantages = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    low, high = torch.rand(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64)
    out = clipped_surrogate(logprobs, old, advantages, clip_low=low, clip_high=high)
    (gradient,) = torch.autograd.grad(out.loss.sum(), logprobs)
    for row in range(3):
        for column in range(4):
            ratio = (logprobs[row, column] - old[row, column]).exp().item()
            advantage = float(advantages[row])
            floor, roof = 1 - float(low[row, column]), 1 + float(high[row, column])
            clipped = min(max(ratio, floor), roof)
            assert out.loss[row, column].item() == pytest.approx(-min(ratio * advantage, clipped * advantage))
            stuck = (ratio > roof and advantage > 0) or (ratio < floor and advantage < 0)
            assert float(gradient[row, column]) == pytest.approx(0 if stuck else -ratio * advantage)
            assert bool(out.clipped_high[row, column]) == (ratio > roof and advantage > 0)
            assert bool(out.clipped_low[row, column]) == (ratio < floor and advantage < 0)


def test_old_logprobs_and_advantages_take_no_gradient() -> None:
    inputs = [torch.randn(2, 3, requires_grad=True) for _ in range(3)]
    clipped_surrogate(*inputs).loss.sum().backward()
    assert inputs[0].grad is not None
    assert inputs[1].grad is None
    assert inputs[2].grad is None


@pytest.mark.parametrize(("clip_low", "clip_high"), [(-0.1, 0.2), (1.1, 0.2), (0.2, -0.1)])
def test_a_clip_range_that_is_none(clip_low: float, clip_high: float) -> None:
    with pytest.raises(ValueError, match="`clip_"):
        clipped_surrogate(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), clip_low=clip_low, clip_high=clip_high)


def test_the_shares_of_a_split_add_up() -> None:
    values = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.rand(6, 5) > 0.5
    tokens = int(mask.sum())
    whole = token_mean(values, mask, num_tokens=tokens)
    parts = [
        token_mean(v, m, num_tokens=tokens) for v, m in zip(values.split([1, 2, 3]), mask.split([1, 2, 3]), strict=True)
    ]
    torch.testing.assert_close(whole, torch.stack(parts).sum())
    torch.testing.assert_close(
        torch.autograd.grad(whole, values)[0], torch.autograd.grad(torch.stack(parts).sum(), values)[0]
    )


def test_nan_behind_the_mask_does_not_enter() -> None:
    values = torch.tensor([[1.0, torch.nan]], requires_grad=True)
    loss = token_mean(values, torch.tensor([[1, 0]]), num_tokens=1)
    loss.backward()
    assert loss.item() == 1
    assert values.grad.tolist() == [[1.0, 0.0]]


def test_no_tokens_and_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="`num_tokens` must be positive"):
        token_mean(torch.zeros(1, 1), torch.ones(1, 1), num_tokens=0)
    with pytest.raises(ValueError, match="`mask` must have the shape"):
        token_mean(torch.zeros(1, 2), torch.ones(1, 1), num_tokens=1)
