"""What every term promises: exact under any split, a differentiable zero without tokens, deaf to masked positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, terms
from entrostat.losses import token_mean

from ..batches import batch, part
from ..parts import at_its_defaults, in_a_recipe, kinds

EXAMPLES: list[Any] = [
    terms.AdvantageKL(scale=0.3, low=-0.5, high=0.7, floor=-0.1),
    terms.ConfidentWeight(tau=0.5),
    terms.EntropyBonus(keep=2),
    terms.PeakEntropy(quantile=0.3),
]
TERMS = [
    *EXAMPLES,
    *(one for kind in kinds(terms, terms.Term) if (one := at_its_defaults(kind) or in_a_recipe(kind, "terms"))),
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


def gradients(term: Any, step: TokenBatch, parts: list[TokenBatch]) -> list[Tensor]:
    leaves = [getattr(step, name) for name in LEAVES]
    for leaf in leaves:
        leaf.grad = None
    for each in parts:
        loss = token_mean(term(each, 0.3), each.mask, num_tokens=step.tokens_of_step())
        loss.backward(retain_graph=True)
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.clone() for leaf in leaves]


def test_every_term_has_an_example() -> None:
    lacking = {kind.__name__ for kind in kinds(terms, terms.Term)} - {type(term).__name__ for term in TERMS}
    assert not lacking, f"add terms.{lacking.pop()}(...) to EXAMPLES in tests/terms/test_contract.py"


@every
def test_one_batch_or_its_parts_give_one_gradient(term: Any) -> None:
    step = whole_step()
    at_once = gradients(term, step, [step])
    in_parts = gradients(term, step, [part(step, slice(i, i + 1)) for i in range(4)])
    assert any(each.any() for each in at_once), "a term has some gradient here"
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
