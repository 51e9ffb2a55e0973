"""The fused head with our statistics: TRL's own forward, with the kernel inside it swapped for ours.

TRL's patched forward finds the backbone and the head, shifts labels, gathers sharded weights, honours temperature,
softcap, logit scale and an fp32 head, and hands one kernel the hidden states. That kernel is the only thing replaced:
it returns five per-token fields, three of which TRL leaves unused here, so clamped entropy, kept mass and watched mass
travel in those (`SLOTS`), reshaped by TRL like the rest.

The swap is a dispatcher in `trl.trainer.utils`. It acts only for models whose head was made by `install_head`, which
marks the `outputs` it asks for; every other model in the process gets TRL's kernel, untouched.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from entrostat.ops import Head, Support, head_stats

SLOTS = {"clamped_entropy": "log_sum_sq_probs", "kept_mass": "mean_logits", "watched_mass": "is_top1"}
"""Our name -> the field of TRL's output that carries it."""


class HeadOutputs(tuple[str, ...]):
    """The `outputs` of a head of ours: TRL passes it through to the kernel, which reads the settings off it.

    Switched by the trainer: `measuring`, since passes that want log-probs only (old and reference policies) skip the
    rest; `logit_stats`, to have the mean and the sampled token's logit in place of kept and watched mass; `scale`, the
    factor on the logits of each position and which positions those are, both `[B, L]`.
    """

    support: Support | None
    watched: Tensor | None
    measuring: bool
    logit_stats: bool
    scale: tuple[Tensor, Tensor] | None

    @classmethod
    def make(cls, support: Support | None, watched: Tensor | None) -> HeadOutputs:
        """Return the request for all fields, not measuring yet."""
        outputs = cls(("log_probs", "entropy"))
        outputs.support, outputs.watched, outputs.measuring = support, watched, False
        outputs.logit_stats, outputs.scale = False, None
        return outputs


class _Dispatch:
    """Stands where TRL's kernel stood; `original` is that kernel."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def apply(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        chunk_size: int,
        softcap: float | None,
        logit_scale: float,
        outputs: tuple[str, ...],
    ) -> tuple[Any, ...]:
        if not isinstance(outputs, HeadOutputs):
            return self.original.apply(
                hidden, weight, bias, targets, temperature, chunk_size, softcap, logit_scale, outputs
            )
        head = Head(
            support=outputs.support if outputs.measuring else None,
            temperature=temperature,
            softcap=softcap,
            logit_scale=logit_scale,
            gathered=_trl_utils().maybe_gather_lm_head_ctx,
        )
        watched = outputs.watched if outputs.measuring else None
        if watched is not None and watched.device != hidden.device:
            watched = outputs.watched = watched.to(hidden.device)
        if outputs.scale is not None:
            return _scaled(hidden, weight, bias, targets, head, watched, outputs)
        logprobs, entropy, clamped, mass, seen = head_stats(hidden, weight, targets, head, bias=bias, watched=watched)
        if not outputs.measuring:
            return logprobs, entropy, None, None, None
        if outputs.logit_stats:
            mass, seen = _logit_stats(hidden, weight, bias, targets, logit_scale)
        return logprobs, entropy, clamped, mass, seen


def _scaled(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, head: Head, watched: Tensor | None,
    outputs: HeadOutputs,
) -> tuple[Any, ...]:  # fmt: skip
    """Return log-probs under scaled logits; beside them, without gradient, the statistics of the unscaled policy."""
    assert outputs.scale is not None
    factors, scored = outputs.scale
    # TRL hands over every position, or on some devices the scored ones only.
    factors = factors.reshape(-1) if len(hidden) == factors.numel() else factors[scored]
    # Logits are linear in the hidden state: heads with a bias or a softcap were refused at construction.
    scaled = hidden * factors.to(hidden.device, hidden.dtype).unsqueeze(-1)
    logprobs = head_stats(scaled, weight, targets, dataclasses.replace(head, support=None), bias=bias).logprobs
    if not outputs.measuring:
        return logprobs, None, None, None, None
    with torch.no_grad():
        _, entropy, clamped, mass, seen = head_stats(hidden, weight, targets, head, bias=bias, watched=watched)
    return logprobs, entropy, clamped, mass, seen


def _logit_stats(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, logit_scale: float
) -> tuple[Tensor, Tensor]:
    """Return the mean over the vocabulary and the target's own logit of each row, without gradient or temperature."""
    chosen = targets.clamp(min=0)
    with torch.no_grad():
        mean = hidden.float() @ weight.mean(0, dtype=torch.float32)
        target = (hidden.float() * weight[chosen].float()).sum(-1)
        if bias is not None:
            mean, target = mean + bias.float().mean(), target + bias[chosen].float()
        return mean * logit_scale, target * logit_scale


def install_head(model: Any, *, temperature: float, fp32: bool, outputs: HeadOutputs) -> None:
    """Give `model` (unwrapped, its TRL head already on) a fused head that computes our statistics."""
    utils = _trl_utils()
    if not isinstance(utils._ChunkedLogProbFunction, _Dispatch):
        utils._ChunkedLogProbFunction = _Dispatch(utils._ChunkedLogProbFunction)
    utils.add_fused_lm_head(model, temperature=temperature, cast_lm_head_to_fp32=fp32, outputs=outputs)


def host_kernel() -> Any:
    """Return TRL's own kernel; None where it has none: 1.15 gets it from Triton, and does without until it is asked."""
    kernel = _trl_utils()._ChunkedLogProbFunction
    return kernel.original if isinstance(kernel, _Dispatch) else kernel


def _trl_utils() -> Any:
    from trl.trainer import utils

    return utils
