"""Between verl's micro-batch and a `TokenBatch`: the one table of verl's names."""

# verl is installed in an environment of its own.
# pyright: reportMissingImports=false
from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.control import all_gather_ragged, changed_fields, group_all_gather
from entrostat.edits import EDITABLE
from entrostat.errors import unknown_name

STATISTICS = {
    "entropy": "entrostat_entropy",
    "clamped_entropy": "entrostat_clamped_entropy",
    "kept_mass": "entrostat_kept_mass",
}
"""Field of the batch -> key of the engine's output that carries it."""

LOGITS = {"mean_logit": "entrostat_mean_logit", "target_logit": "entrostat_target_logit"}
"""Field of the batch -> key that carries it for fresh rollouts whose recipe asks for logits."""

ASK, ASK_LOGITS = "entrostat_measure", "entrostat_logit_stats"
"""Keys sent along with the pass over fresh rollouts: the measure wanted, and whether logits are wanted too."""

FACTS: dict[str, tuple[str, Any]] = {
    "coef": ("entrostat_coef", None),
    "step": ("entrostat_step", 0),
    "total_steps": ("entrostat_total_steps", None),
    "temperature": ("temperature", 1.0),
    "vocab": ("entrostat_vocab", None),
}
"""Field of the batch -> key under which it goes along with the data, and its default. The engine puts `vocab`
there, the driver the rest."""

PER_TOKEN = {
    "old_entropy": "entrostat_old_entropy",
    "weight": "entrostat_weight",
    "logit_scale": "entrostat_logit_scale",
}
"""Field of the batch -> key under which the driver keeps it beside the rollouts, for every update on them."""

PER_RESPONSE = {"rewards": "entrostat_rewards", "group_ids": "entrostat_group_ids"}
"""Field of the batch -> key under which the driver keeps it beside the rollouts, one value per response."""

EDITED = "entrostat_edited"
"""Sent along with rollouts that the recipe's rollout edits have seen."""

TENSORS = {"old_logprobs": "old_log_probs", "advantages": "advantages", "ref_logprobs": "ref_log_prob"}
"""Field of the batch -> verl's own name."""

_BOUNDS = {"clip_low": "clip_ratio_low", "clip_high": "clip_ratio_high"}


def to_token_batch(config: Any, model_output: Any, data: Any, dp_group: Any) -> TokenBatch:
    """Return the batch an edit or a term sees.

    Args:
        config: verl's `ActorConfig`.
        model_output: the engine's output; packed sequences, prompts included.
        data: verl's micro-batch.
        dp_group: the ranks that share one optimizer step.
    """
    from verl.utils import tensordict_utils as tu
    from verl.workers.utils.padding import no_padding_2_padding

    logprobs = no_padding_2_padding(model_output["log_probs"], data)
    given = {name: key for name, key in (TENSORS | PER_TOKEN).items() if key in data}
    padded = data.select("response_mask", *given.values()).to_padded_tensor()
    mask = padded["response_mask"]
    tokens = data["batch_num_tokens"]
    facts = {name: tu.get_non_tensor_data(data, key, default) for name, (key, default) in FACTS.items()}
    # A recipe without terms has no use for a coefficient; `EntropyLoss` insists on it for the others.
    facts["coef"] = facts["coef"] or 0.0
    all_gather = group_all_gather(dp_group)
    gather: dict[str, Any] = {} if all_gather is None else {"gather": partial(all_gather_ragged, all_gather=all_gather)}
    return TokenBatch(
        logprobs=logprobs,
        mask=mask,
        **{name: padded[key] for name, key in given.items()},
        **{name: no_padding_2_padding(model_output[key], data) for name, key in STATISTICS.items()},
        **{name: data[key] for name, key in PER_RESPONSE.items() if key in data},
        **bounds(config, logprobs),
        **facts,
        host_weight=host_weight(config, mask, tokens, data["global_batch_size"]),
        kl_coef=kl_coef(config),
        num_tokens=torch.tensor(float(tokens), device=mask.device),
        num_responses=torch.tensor(data["global_batch_size"], device=mask.device),
        **gather,
    )


def bounds(config: Any, like: Tensor) -> dict[str, Tensor]:
    """Return verl's own clip bounds, one per token."""
    values = {name: getattr(config, key) for name, key in _BOUNDS.items()}
    values = {name: config.clip_ratio if value is None else value for name, value in values.items()}
    return {name: torch.full_like(like, value, requires_grad=False) for name, value in values.items()}


def kl_coef(config: Any) -> float:
    """Return verl's coefficient of the divergence to the reference."""
    return config.kl_loss_coef if config.use_kl_loss else 0.0


def edited(before: TokenBatch, after: TokenBatch, config: Any, data: Any) -> tuple[Any, Any]:
    """Return copies of verl's settings and micro-batch in which its loss reads the edited fields."""
    changed = changed_fields(before, after, EDITABLE)
    if not changed:
        return config, data
    config, data = copy.copy(config), data.copy()
    for name, value in changed.items():
        if name in _BOUNDS:
            # verl freezes its settings; the copy is for this one call, and its clamp takes tensors.
            object.__setattr__(config, _BOUNDS[name], value)
        else:
            data[TENSORS[name]] = value
    return config, data


AGGREGATIONS = ("seq-mean-token-mean", "seq-mean-token-sum", "seq-mean-token-sum-norm", "token-mean", "token-sum")
"""verl's ways to reduce a loss that are known here."""


def host_weight(config: Any, mask: Tensor, tokens: float, responses: int) -> Tensor:
    """Return the weight `[B, T]` of each token in verl's loss, in units of one over the step's tokens.

    Raises:
        ValueError: a way to reduce that is not known.
    """
    match config.loss_agg_mode:
        case "token-mean":
            weight = 1.0
        case "token-sum":
            weight = tokens
        case "seq-mean-token-sum":
            weight = tokens / responses
        case "seq-mean-token-mean":
            weight = tokens / responses / mask.sum(-1, keepdim=True).clamp(min=1)
        case "seq-mean-token-sum-norm":
            weight = tokens / responses / (config.loss_scale_factor or mask.shape[-1])
        case mode:
            raise unknown_name("loss_agg_mode", mode, AGGREGATIONS)
    return torch.as_tensor(weight, device=mask.device, dtype=torch.float32).expand(mask.shape)
