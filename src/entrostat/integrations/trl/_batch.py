"""Between TRL's dict of inputs and a `TokenBatch`: the one table of TRL's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits import EDITABLE

GROUP_IDS, REWARDS = "entrostat_group_ids", "entrostat_rewards"
"""Keys under which the trainer adds what TRL computes but does not pass on; no dataset has columns of these names."""


class Measured(NamedTuple):
    """What the fused head gave for the response tokens; each `[B, T]`."""

    logprobs: Tensor
    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor
    watched_mass: Tensor


def response_mask(inputs: dict[str, Any]) -> Tensor:
    """TRL's own definition of the tokens that count."""
    mask = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def to_token_batch(
    inputs: dict[str, Any],
    measured: Measured,
    *,
    clip_low: float,
    clip_high: float,
    step: int,
    total_steps: int | None,
    gather: Callable[[Tensor], Tensor],
) -> TokenBatch:
    """Return the batch an edit or a term sees. TRL's `[B]` advantages are spread over the tokens."""
    logprobs = measured.logprobs
    advantages = inputs["advantages"]
    advantages = advantages.unsqueeze(1).expand_as(logprobs) if advantages.dim() == 1 else advantages
    old = inputs.get("old_per_token_logps")
    return TokenBatch(
        logprobs=logprobs,
        old_logprobs=logprobs.detach() if old is None else old,
        ref_logprobs=inputs.get("ref_per_token_logps"),
        advantages=advantages,
        mask=response_mask(inputs),
        entropy=measured.entropy,
        clamped_entropy=measured.clamped_entropy,
        kept_mass=measured.kept_mass,
        clip_low=torch.full_like(logprobs, clip_low, requires_grad=False),
        clip_high=torch.full_like(logprobs, clip_high, requires_grad=False),
        rewards=inputs.get(REWARDS),
        group_ids=inputs.get(GROUP_IDS),
        step=step,
        total_steps=total_steps,
        gather=gather,
    )


def edited_fields(before: TokenBatch, after: TokenBatch) -> dict[str, Tensor]:
    """Return the fields that the edits changed, without gradient."""
    changed = {name: getattr(after, name) for name in EDITABLE if getattr(after, name) is not getattr(before, name)}
    return {name: value.detach() for name, value in changed.items()}
