"""`overwrite=True`: the gradient takes the logits' place, and nothing can go on as if it had not."""

from __future__ import annotations

import pytest
import torch

from entrostat.ops import token_stats


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("view", [False, True])
def test_the_gradient_is_the_same_and_lies_where_the_logits_lay(dtype: torch.dtype, view: bool) -> None:
    hidden = torch.randn(3, 5, 41, generator=torch.Generator().manual_seed(0)).to(dtype)
    targets = torch.zeros(3, 4 if view else 5, dtype=torch.long)
    results: list[torch.Tensor] = []
    for overwrite in (False, True):
        leaf = hidden.clone().requires_grad_()
        whole = leaf * 1
        logits = whole[:, :-1] if view else whole
        before = logits.detach().clone()
        stats = token_stats(logits, targets, clamp=0.3, overwrite=overwrite)
        (stats.logprobs + stats.clamped_entropy).sum().backward()
        assert leaf.grad is not None
        results.append(leaf.grad)
        assert torch.equal(logits.detach(), before) != overwrite
    assert torch.equal(results[0], results[1])


def test_a_second_walk_over_the_graph_is_an_error_not_a_wrong_number() -> None:
    leaf = torch.randn(4, 41).requires_grad_()
    stats = token_stats(leaf * 1, torch.zeros(4, dtype=torch.long), overwrite=True)
    stats.entropy.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        stats.entropy.sum().backward()


def test_logits_that_belong_to_somebody_are_refused() -> None:
    targets = torch.zeros(4, dtype=torch.long)
    for logits in (torch.randn(4, 41).requires_grad_(), torch.randn(1, 41).expand(4, 41)):
        with pytest.raises(ValueError, match="`overwrite` must be False"):
            token_stats(logits, targets, overwrite=True)
