"""What a host does with a batch, for tests: its clipped loss on the edited batch, averaged in one of two ways."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entrostat import TokenBatch
from entrostat.losses import clipped_surrogate
from entrostat.recipes import Recipe


def drifted(rows: int = 6, length: int = 9, seed: int = 0, drift: float = 0.4, **fields: Any) -> TokenBatch:
    """Return a float64 batch of uneven responses whose policy moved by about `drift` nats since the rollout."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> Tensor:
        return torch.randn(rows, length, generator=generator, dtype=torch.float64)

    mask = (torch.arange(length) < torch.tensor([[length - row % (length - 1)] for row in range(rows)])).int()
    old = -noise().abs() - 0.1
    entropy = noise().abs() + 0.05
    values: dict[str, Any] = {
        "logprobs": (old + drift * noise()).requires_grad_(),
        "old_logprobs": old,
        "advantages": noise()[:, :1].expand(rows, length),
        "mask": mask,
        "entropy": entropy,
        "clamped_entropy": entropy,
        "old_entropy": entropy * (1 + 0.2 * drift * noise()).abs(),
        "kept_mass": torch.ones(rows, length, dtype=torch.float64),
        "clip_low": torch.full((rows, length), 0.2, dtype=torch.float64),
        "clip_high": torch.full((rows, length), 0.2, dtype=torch.float64),
        "vocab": 1024,
        "step": 0,
        "total_steps": 10,
    }
    return TokenBatch(**{**values, **fields})


def applied(recipe: Recipe, batch: TokenBatch) -> TokenBatch:
    """Return the batch as the host's loss will see it: rollout edits first, then the edits of every update."""
    for edit in (*recipe.rollout_edits, *recipe.edits):
        batch = edit(batch)
    return batch


def per_token(batch: TokenBatch) -> Tensor:
    """Return the host's clipped loss of each token."""
    return clipped_surrogate(
        batch.logprobs, batch.old_logprobs, batch.advantages, clip_low=batch.clip_low, clip_high=batch.clip_high
    ).loss


def reduced(loss: Tensor, mask: Tensor, average: str) -> Tensor:
    """Return the mean over all tokens (`"tokens"`), or over responses of their means (`"responses"`)."""
    counted = torch.where(mask.bool(), loss, 0)
    return counted.sum() / mask.sum() if average == "tokens" else (counted.sum(1) / mask.sum(1).clamp(min=1)).mean()


def gradient(loss: Tensor, batch: TokenBatch) -> Tensor:
    """Return the gradient of a loss by the log-probs of each token."""
    return torch.autograd.grad(loss, batch.logprobs, retain_graph=True)[0]


def host_gradient(recipe: Recipe, batch: TokenBatch, average: str = "tokens") -> Tensor:
    """Return the gradient, by the log-probs, of the host's loss under a recipe, its terms included."""
    edited = applied(recipe, batch)
    loss = reduced(per_token(edited), edited.mask, average)
    coef = recipe.controller.coefficient(recipe.controller.init())
    for term in recipe.terms:
        loss = loss + reduced(term(edited, coef), edited.mask, "tokens")
    return gradient(loss, batch)
