"""Entropy summed over a response and averaged over responses, whatever the split."""

from __future__ import annotations

import torch

from entrostat import terms
from entrostat.losses import token_mean

from ..batches import batch, part


def test_the_split_does_not_matter_and_the_mean_is_over_responses() -> None:
    tokens, responses = batch().mask.sum(), torch.tensor(4)
    whole = batch().replace(num_tokens=tokens, num_responses=responses)
    at_once = token_mean(terms.ResponseEntropy()(whole, 0.3), whole.mask, num_tokens=float(tokens))
    (expected,) = torch.autograd.grad(at_once, whole.clamped_entropy)
    torch.testing.assert_close(expected, 0.3 * whole.mask / 4)
    again = batch().replace(num_tokens=tokens, num_responses=responses)
    for rows in (slice(0, 1), slice(1, 4)):
        few = part(again, rows)
        token_mean(terms.ResponseEntropy()(few, 0.3), few.mask, num_tokens=float(tokens)).backward()
    torch.testing.assert_close(again.clamped_entropy.grad, expected)


def test_a_coefficient_of_zero_builds_no_graph() -> None:
    assert not terms.ResponseEntropy()(batch(), 0.0).requires_grad
