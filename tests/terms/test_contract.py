"""What every term promises: exact under any split, a differentiable zero without tokens, deaf to masked positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, terms
from entrostat.losses import token_mean

from ..batches import batch

TERMS = [
    terms.EntropyBonus(),
]


def gradient(term: Any, parts: list[TokenBatch], leaf: Tensor, tokens: float) -> Tensor:
    leaf.grad = None
    for part in parts:
        token_mean(term(part, 0.3), part.mask, num_tokens=tokens).backward(retain_graph=True)
    assert leaf.grad is not None
    return leaf.grad.clone()


def rows(whole: TokenBatch, start: int, stop: int) -> TokenBatch:
    names = ("logprobs", "old_logprobs", "advantages", "mask", "entropy", "clamped_entropy", "kept_mass")
    return whole.replace(**{name: getattr(whole, name)[start:stop] for name in (*names, "clip_low", "clip_high")})


def test_one_batch_or_its_parts_give_one_gradient() -> None:
    whole = batch()
    tokens = float(whole.mask.sum())
    term = terms.EntropyBonus()
    at_once = gradient(term, [whole], whole.clamped_entropy, tokens)
    in_parts = gradient(term, [rows(whole, i, i + 1) for i in range(4)], whole.clamped_entropy, tokens)
    torch.testing.assert_close(at_once, in_parts)
    torch.testing.assert_close(at_once, -0.3 * whole.mask.float() / tokens)


@pytest.mark.parametrize("term", TERMS)
def test_without_tokens_a_term_is_a_zero_that_can_be_differentiated(term: Any) -> None:
    empty = batch(garbage=True)
    empty = empty.replace(mask=torch.zeros_like(empty.mask))
    loss = token_mean(term(empty, 0.3), empty.mask, num_tokens=5)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(empty.clamped_entropy.grad, torch.zeros_like(empty.mask, dtype=torch.float))


@pytest.mark.parametrize("term", TERMS)
def test_masked_positions_have_no_influence(term: Any) -> None:
    clean, dirty = batch(), batch(garbage=True)
    values = [token_mean(term(each, 0.3), each.mask, num_tokens=7) for each in (clean, dirty)]
    assert values[0].item() == pytest.approx(values[1].item())
    gradients = [
        torch.autograd.grad(value, each.clamped_entropy)[0] for value, each in zip(values, (clean, dirty), strict=True)
    ]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_batch_s_weight_scales_each_token() -> None:
    whole = batch()
    weight = torch.arange(24.0).reshape(4, 6)
    plain, weighted = (terms.EntropyBonus()(each, 0.3) for each in (whole, whole.replace(weight=weight)))
    torch.testing.assert_close(weighted, plain * weight)


def test_a_coefficient_of_zero_builds_no_graph() -> None:
    assert not terms.EntropyBonus()(batch(), 0.0).requires_grad
