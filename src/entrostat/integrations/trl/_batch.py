"""Between TRL's dict of inputs and a `TokenBatch`: TRL's names, and how TRL counts the tokens of a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import unknown_name
from entrostat.integrations.trl._head import Measured
from entrostat.ops import TokenStats

CARRIED = {
    "group_ids": "entrostat_group_ids",
    "rewards": "entrostat_rewards",
    "old_entropy": "entrostat_old_entropy",
    "weight": "entrostat_weight",
    "logit_scale": "entrostat_logit_scale",
}
"""Field of the batch -> key under which it travels from the rollout to every update on it, beside TRL's own."""


def response_mask(inputs: dict[str, Any]) -> Tensor:
    """TRL's own definition of the tokens that count."""
    mask = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def to_token_batch(inputs: dict[str, Any], measured: Measured, **facts: Any) -> TokenBatch:
    """Return the batch an edit or a term sees; `facts` are further arguments of `TokenBatch.of`."""
    return TokenBatch.of(
        TokenStats(*measured[:4]),
        response_mask(inputs),
        advantages=inputs["advantages"],
        old_logprobs=inputs.get("old_per_token_logps"),
        ref_logprobs=inputs.get("ref_per_token_logps"),
        mean_logit=measured.mean_logit,
        target_logit=measured.target_logit,
        **{name: inputs.get(key) for name, key in CARRIED.items()},
        **facts,
    )


def step_tokens(
    buffered: Sequence[dict[str, Any]], position: int, accumulation: int, all_reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the response tokens, on all ranks, of the optimizer step that opens at `position` of the buffer.

    Args:
        buffered: the micro-batches TRL cut from the current generation batch.
        position: which of them comes next.
        accumulation: micro-batches in the step.
        all_reduce: sums a tensor over all ranks.

    If the step reaches beyond this generation batch, the tokens still to be generated cannot be counted; then the
    step is taken to be as long as this generation batch per micro-batch, as TRL's own DAPO loss does.
    """
    inside = position + accumulation <= len(buffered)
    window = buffered[position : position + accumulation] if inside else buffered
    tokens = all_reduce(torch.stack([response_mask(batch).sum() for batch in window]).sum().float())
    return (tokens if inside else tokens * accumulation / len(buffered)).clamp(min=1)


LOSS_TYPES = ("bnpo", "cispo", "dapo", "dr_grpo", "grpo", "luspo", "sapo", "vespo")
"""TRL's losses whose reduction and ratio are known here."""


def host_weight(inputs: dict[str, Any], mask: Tensor, args: Any, *, tokens: Tensor, parts: int, share: float) -> Tensor:
    """Return the weight `[B, T]` of each token in TRL's loss, in units of one over the step's tokens.

    Gradients are summed over micro-batches and averaged over ranks, so a loss that TRL averages over the `B` responses
    of a micro-batch weighs a response `1 / (B parts)`.

    Args:
        inputs: the micro-batch.
        mask: its response tokens `[B, T]`.
        args: TRL's settings; a loss type is named as there.
        tokens: response tokens of the step.
        parts: micro-batches of the step, on all ranks.
        share: part of the generation batch that is one step's; 1 when evaluating.

    Raises:
        ValueError: a loss type whose reduction is not known.
    """
    match args.loss_type:
        case "grpo" | "sapo":
            divisor = mask.sum(-1, keepdim=True).clamp(min=1) * len(mask) * parts
        case "bnpo":
            divisor = mask.sum().clamp(min=1) * parts
        case "dr_grpo":
            divisor = mask.new_tensor(len(mask) * parts * args.max_completion_length)
        case "luspo":
            divisor = mask.new_tensor(len(mask) * parts)
        case "cispo" | "dapo" | "vespo":
            # By the tokens of the generation batch, times the step's share of it.
            divisor = inputs["num_items_in_batch"].clamp(min=1) * share
        case _:
            raise unknown_name("loss_type", args.loss_type, LOSS_TYPES)
    return (tokens / divisor).expand(mask.shape)
