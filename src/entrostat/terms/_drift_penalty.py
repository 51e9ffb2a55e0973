"""Drift penalty: the distance of the sampled token's log-prob from what it was at the rollout (KL-Cov)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class DriftPenalty:
    """The coefficient times the absolute log-ratio, less a dead zone, at the tokens that have a weight.

        loss_{b,t} = coef w_{b,t} max(|logprobs_{b,t} - old_logprobs_{b,t}| - dead_zone, 0)

    The gradient is `coef w sign(logprobs - old_logprobs) grad log pi` outside the dead zone and 0 inside. Two forward
    passes over one policy differ by rounding; without a dead zone that noise gives every weighted token a penalty
    of full size and random sign.

    Args:
        dead_zone: log-ratios up to it cost nothing, nats; 0 for the plain absolute value.

    Raises:
        ValueError: a negative `dead_zone`.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617 (KL-Cov); the dead
        zone is ours.

    Example:
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=torch.tensor([[-1.0, -1.3]]), old_logprobs=-ones, advantages=ones, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> DriftPenalty(dead_zone=0.1)(batch, 1.0)
        tensor([[0.0000, 0.2000]])
    """

    dead_zone: float = 1e-3

    def __post_init__(self) -> None:
        require(require_finite("dead_zone", self.dead_zone) >= 0, "dead_zone", "be at least 0", self.dead_zone)

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return the penalty of each token, `[B, T]`."""
        # Masked positions first: the derivative of |NaN| is NaN even where nothing asks for it.
        drift = torch.where(batch.mask.bool(), batch.logprobs - batch.old_logprobs, 0)
        return batch.weighed(coef * (drift.abs() - self.dead_zone).clamp(min=0))
