"""What every term promises: exact under any split, a differentiable zero without tokens, deaf to masked positions."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, terms
from entrostat.losses import token_mean

from ..batches import batch

TERMS: list[Any] = [getattr(terms, name)() for name in terms.__all__ if name != "Term"]
TERMS += [
    terms.AdvantageKL(scale=0.3, low=-0.5, high=0.7, floor=-0.1),
    terms.ConfidentWeight(tau=0.5),
    terms.EntropyBonus(keep=2),
    terms.PeakEntropy(quantile=0.3),
]
every = pytest.mark.parametrize("term", TERMS, ids=repr)

LEAVES = ("logprobs", "entropy", "clamped_entropy")


def whole_step(**changes: Any) -> TokenBatch:
    """Return a batch with everything a term may want to know of its step, and of its host's reduction."""
    step = batch(**changes)
    sizes = {"num_tokens": step.mask.sum(), "num_responses": torch.tensor(len(step.mask))}
    return step.replace(
        **sizes, kl_coef=0.2, kl_ratio=True, vocab=50, weight=torch.linspace(0.5, 2, 24).view(4, 6),
        host_weight=torch.linspace(2, 1, 24).view(4, 6),
    )  # fmt: skip


def rows(step: TokenBatch, start: int, stop: int) -> TokenBatch:
    """Return some responses of the step, as a micro-batch of it."""
    cut = {
        field.name: value[start:stop]
        for field in dataclasses.fields(step)
        if isinstance(value := getattr(step, field.name), Tensor) and value.dim()
    }
    return step.replace(**cut)


def gradients(term: Any, step: TokenBatch, parts: list[TokenBatch]) -> list[Tensor]:
    leaves = [getattr(step, name) for name in LEAVES]
    for leaf in leaves:
        leaf.grad = None
    for part in parts:
        loss = token_mean(term(part, 0.3), part.mask, num_tokens=step.tokens_of_step())
        loss.backward(retain_graph=True)
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.clone() for leaf in leaves]


@every
def test_one_batch_or_its_parts_give_one_gradient(term: Any) -> None:
    step = whole_step()
    at_once = gradients(term, step, [step])
    in_parts = gradients(term, step, [rows(step, i, i + 1) for i in range(4)])
    assert any(part.any() for part in at_once), "a term has some gradient here"
    for one, many in zip(at_once, in_parts, strict=True):
        torch.testing.assert_close(one, many)


@every
def test_without_tokens_a_term_is_a_zero_that_can_be_differentiated(term: Any) -> None:
    empty = whole_step(garbage=True)
    empty = empty.replace(mask=torch.zeros_like(empty.mask))
    loss = token_mean(term(empty, 0.3), empty.mask, num_tokens=5)
    loss.backward()
    assert loss.item() == 0
    for name in LEAVES:
        grad = getattr(empty, name).grad
        assert grad is None or not grad.any()


@every
def test_masked_positions_have_no_influence(term: Any) -> None:
    clean, dirty = whole_step(), whole_step(garbage=True)
    losses = [token_mean(term(each, 0.3), each.mask, num_tokens=7).item() for each in (clean, dirty)]
    assert losses[0] == pytest.approx(losses[1])
    for one, other in zip(gradients(term, clean, [clean]), gradients(term, dirty, [dirty]), strict=True):
        torch.testing.assert_close(one, other)


@every
def test_the_batch_s_weight_scales_each_token(term: Any) -> None:
    step = whole_step()
    plain, weighted = term(step.replace(weight=None), 0.3), term(step, 0.3)
    counted = step.mask.bool()
    torch.testing.assert_close(weighted[counted], (plain * step.weight)[counted])


def test_the_bonus_s_gradient_is_minus_the_coefficient_over_the_tokens() -> None:
    step = batch()
    tokens = step.mask.sum()
    token_mean(terms.EntropyBonus()(step, 0.3), step.mask, num_tokens=tokens).backward()
    torch.testing.assert_close(step.clamped_entropy.grad, -0.3 * step.mask.float() / tokens)


def test_a_coefficient_of_zero_builds_no_graph() -> None:
    assert not terms.EntropyBonus()(batch(), 0.0).requires_grad
