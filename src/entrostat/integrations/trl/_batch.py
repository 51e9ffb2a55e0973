"""Between TRL's dict of inputs and a `TokenBatch`: the one table of TRL's names."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits import EDITABLE

CARRIED = {
    "group_ids": "entrostat_group_ids",
    "rewards": "entrostat_rewards",
    "old_entropy": "entrostat_old_entropy",
    "weight": "entrostat_weight",
    "logit_scale": "entrostat_logit_scale",
}
"""Field of the batch -> key under which it travels from the rollout to every update on it, beside TRL's own."""


class Measured(NamedTuple):
    """What the fused head gave for the response tokens; each `[B, T]`."""

    logprobs: Tensor
    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor
    watched_mass: Tensor

    @classmethod
    def nothing(cls, like: Tensor) -> Measured:
        """Return what was not measured: NaN, so that whoever reads it by mistake finds out."""
        return cls(*[torch.full_like(like, torch.nan, dtype=torch.float32)] * len(cls._fields))


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
    **facts: Any,
) -> TokenBatch:
    """Return the batch an edit or a term sees. TRL's `[B]` advantages are spread over the tokens.

    `facts` are further fields of `TokenBatch`, which the trainer knows.
    """
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
        **{name: inputs.get(key) for name, key in CARRIED.items()},
        **facts,
    )


def edited_fields(before: TokenBatch, after: TokenBatch, names: tuple[str, ...] = EDITABLE) -> dict[str, Tensor]:
    """Return the fields that the edits changed, without gradient."""
    changed = {name: getattr(after, name) for name in names if getattr(after, name) is not getattr(before, name)}
    return {name: value.detach() for name, value in changed.items()}
