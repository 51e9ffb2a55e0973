"""The ratio the host will form from a batch, where its clip binds, and how to take a token's gradient away.

Shared by the edits that work on the ratio. Host: r = exp(logprobs - old_logprobs), loss = -min(r A, clip(r, ...) A).
"""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.batch import TokenBatch


def log_ratio(batch: TokenBatch) -> Tensor:
    """Return `logprobs - old_logprobs`, without gradient; 0 at masked positions."""
    return torch.where(batch.mask.bool(), batch.logprobs.detach() - batch.old_logprobs, 0)


def clipped(batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Return which tokens the host's clip leaves without gradient: below the lower bound, and above the upper."""
    ratio, counted = log_ratio(batch).exp(), batch.mask.bool()
    below = counted & (ratio < 1 - batch.clip_low) & (batch.advantages < 0)
    above = counted & (ratio > 1 + batch.clip_high) & (batch.advantages > 0)
    return below, above


def with_ratio(batch: TokenBatch, log_value: Tensor, chosen: Tensor) -> Tensor:
    """Return old log-probs that make the host's ratio `exp(log_value) pi / sg(pi)` at the chosen tokens.

    Its value is `exp(log_value)`, its gradient `exp(log_value) grad log pi`.
    """
    return torch.where(chosen, batch.logprobs.detach() - log_value, batch.old_logprobs)


def unbound(batch: TokenBatch, chosen: Tensor) -> dict[str, Tensor]:
    """Return clip bounds that never bind at the chosen tokens: a ratio lies above 0 and below infinity."""
    return {
        "clip_low": torch.where(chosen, 1.0, batch.clip_low),
        "clip_high": torch.where(chosen, torch.inf, batch.clip_high),
    }


def freeze(batch: TokenBatch, chosen: Tensor, value: Tensor) -> TokenBatch:
    """Return a batch whose chosen tokens have the loss `-value A`, and no gradient.

    Both bounds are put at `value` and the ratio on the side where the clip takes the gradient:

        A >= 0:  min(2 value A, value A) = value A           A < 0:  min(value/2 A, value A) = value A

    So a host counts a frozen token among those it clips.
    """
    factor = torch.where(batch.advantages < 0, 0.5, 2.0)
    return batch.replace(
        old_logprobs=with_ratio(batch, (value * factor).log(), chosen),
        clip_low=torch.where(chosen, 1 - value, batch.clip_low),
        clip_high=torch.where(chosen, value - 1, batch.clip_high),
    )
