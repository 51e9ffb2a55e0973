"""How TRL reduces its own loss: the weight of each token in it, for terms that change a part of that loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor


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
        case _:  # by the tokens of the generation batch, times the step's share of it
            divisor = inputs["num_items_in_batch"].clamp(min=1) * share
    return (tokens / divisor).expand(mask.shape)
