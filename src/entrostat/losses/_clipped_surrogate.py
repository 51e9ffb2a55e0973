"""PPO's clipped surrogate, per token: for the lab, for tests, and for people with their own loop."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require


class TokenLoss(NamedTuple):
    """A loss per token and where its ratio was clipped; each `[B, T]`."""

    loss: Tensor
    clipped_low: Tensor
    clipped_high: Tensor


def clipped_surrogate(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    *,
    clip_low: float | Tensor = 0.2,
    clip_high: float | Tensor = 0.2,
) -> TokenLoss:
    """The negative clipped surrogate of each token.

        r = exp(logprobs - old_logprobs)        loss = -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A)

    Args:
        logprobs: `[B, T]`, with gradient.
        old_logprobs: `[B, T]`; taken without gradient.
        advantages: `[B, T]`, or `[B]` to spread over the tokens; taken without gradient.
        clip_low: room below 1, a number in [0, 1] or a tensor `[B, T]`.
        clip_high: room above 1, a number `>= 0` or a tensor `[B, T]`.

    Returns:
        `TokenLoss(loss, clipped_low, clipped_high)`; reduce it with `token_mean`.

    Raises:
        ValueError: a clip range that is not one.

    Reference:
        Schulman et al., "Proximal Policy Optimization Algorithms", arXiv 1707.06347.

    Example:
        >>> import torch
        >>> out = clipped_surrogate(torch.tensor([[0.5]]), torch.zeros(1, 1), torch.ones(1))
        >>> round(float(out.loss), 4), bool(out.clipped_high)  # e^0.5 is beyond 1.2
        (-1.2, True)
    """
    if not isinstance(clip_low, Tensor):
        require(0 <= clip_low <= 1, "clip_low", "lie in [0, 1]", clip_low)
    if not isinstance(clip_high, Tensor):
        require(clip_high >= 0, "clip_high", "be at least 0", clip_high)
    advantages = (advantages.unsqueeze(-1) if advantages.dim() == 1 else advantages).detach()
    ratio = (logprobs - old_logprobs.detach()).exp()
    low, high = 1 - clip_low, 1 + clip_high
    clipped = torch.clamp(ratio, low, high)  # pyright: ignore[reportCallIssue, reportArgumentType]
    loss = -torch.minimum(ratio * advantages, clipped * advantages)
    return TokenLoss(loss, (ratio < low) & (advantages < 0), (ratio > high) & (advantages > 0))
