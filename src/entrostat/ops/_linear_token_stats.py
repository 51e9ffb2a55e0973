"""The same statistics from hidden states and the language-model head, the logits never held but for one chunk of rows.

For each chunk of rows: one matrix product gives the chunk's logits, `forward_rows` reduces them; in the backward pass
the product is formed again, `backward_rows_` turns it into its own gradient in place, and two more products carry that
gradient to the hidden states and to the weight. Because a chunk holds whole rows, the exact threshold of the clamp
needs nothing the unfused form does not have.

With s = logit_scale, c = softcap, T = temperature and z = hidden @ weight.T + bias:

    x = c tanh(s z / c) / T        dx/dz = s (1 - tanh(s z / c)^2) / T        (x = s z / T without a softcap)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entrostat.errors import require, require_finite, sentence
from entrostat.ops._rows import RowGrads, RowStats, backward_rows_, compute_dtype, forward_rows, mark_banned
from entrostat.ops._support import Support, check_target_range, check_targets, check_temperature, support_of
from entrostat.ops._token_stats import TokenStats, rows_per_chunk, slice_grads, stack_chunks


@dataclass(frozen=True, kw_only=True)
class Head:
    """How a head turns a product into logits, and which tokens are kept: all that is chosen, in one value."""

    support: Support | None = None
    temperature: float = 1.0
    softcap: float | None = None
    logit_scale: float = 1.0
    chunk_rows: int
    gathered: Callable[[Tensor, Tensor | None], AbstractContextManager[Any]] = lambda weight, bias: nullcontext()
    """Entered around the backward pass's use of weight and bias: hosts that shard parameters gather them here."""

    def logits(self, z: Tensor) -> Tensor:
        """Return the transformed logits of a product `z [n, V]`, in the dtype of the arithmetic, as a new tensor."""
        x = z.to(compute_dtype(z.dtype), copy=True)
        if self.softcap is not None:
            return mark_banned(x.mul_(self.logit_scale / self.softcap).tanh_().mul_(self.softcap / self.temperature))
        scale = self.logit_scale / self.temperature
        return mark_banned(x if scale == 1 else x.mul_(scale))

    def pull_back_(self, grad: Tensor, z: Tensor) -> Tensor:
        """Carry the derivative by the logits `[n, V]` to the product `z [n, V]`, in place."""
        if self.softcap is not None:
            bend = z.to(grad.dtype, copy=True).mul_(self.logit_scale / self.softcap).tanh_()
            grad.mul_(bend.square_().neg_().add_(1))
        scale = self.logit_scale / self.temperature
        return grad if scale == 1 else grad.mul_(scale)


def linear_token_stats(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    clamp: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    temperature: float = 1.0,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    chunk_rows: int | None = None,
) -> TokenStats:
    """Log-prob, entropy, clamped entropy and kept mass of every token, from hidden states and the head.

    Equal in value and gradient to `token_stats` on `logits = softcap * tanh(logit_scale * (hidden @ weight.T + bias) /
    softcap)`, without ever holding more than `chunk_rows` rows of them. Under autocast the product runs in autocast's
    dtype; statistics are fp32, gradients of weight and bias are summed in fp32 over the chunks.

    Args:
        hidden: `[..., D]` last hidden states.
        weight: `[V, D]` the head.
        targets: `[...]` integers; -100 skips a row's log-prob and every gradient of the row.
        bias: `[V]`, optional.
        clamp: share of the vocabulary to drop, see `token_stats`.
        top_k: number of tokens to keep instead.
        top_p: probability to keep instead.
        temperature: what the logits are divided by, after the softcap.
        softcap: bound of the logits, as in Gemma; None for none.
        logit_scale: factor on the product, before the softcap.
        chunk_rows: rows worked on at a time; None picks by size. The result does not depend on it but for rounding.

    Returns:
        `TokenStats` of tensors `[...]`, fp32 (float64 for float64 input).

    Raises:
        TypeError: inputs of a wrong dtype.
        ValueError: shapes that do not fit, or a setting out of range.

    Example:
        >>> import torch
        >>> hidden, weight = torch.eye(2, 4), torch.arange(24.0).reshape(6, 4) / 10
        >>> stats = linear_token_stats(hidden, weight, torch.tensor([5, 0]), clamp=0.5)
        >>> [round(value, 4) for value in stats.clamped_entropy.tolist()]
        [1.0473, 1.0473]
    """
    _check_operands(hidden, weight, bias, targets)
    support = support_of(clamp, top_k, top_p)
    head = Head(
        support=support,
        temperature=check_temperature(temperature),
        softcap=None if softcap is None else _positive("softcap", softcap),
        logit_scale=require_finite("logit_scale", logit_scale),
        chunk_rows=chunk_rows or rows_per_chunk(weight.shape[0]),
    )
    outputs = head_stats(hidden.reshape(-1, hidden.shape[-1]), weight, bias, targets.reshape(-1), head)[:4]
    return TokenStats(*(output.view(targets.shape) for output in outputs))


def head_stats(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    head: Head,
    watched: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The unchecked form for hosts: `[N, D]` and `[N]` in, the four statistics and the mass on watched tokens out.

    `watched [V]` is 1 for the tokens whose total probability is to be reported (no gradient), else 0; without it the
    fifth output is zero.
    """
    return _LinearTokenStats.apply(hidden, weight, bias, targets, head, watched)


def _positive(name: str, value: float) -> float:
    number = require_finite(name, value)
    require(number > 0, name, "be positive", value)
    return number


def _check_operands(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> None:
    for name, operand in {"hidden": hidden, "weight": weight, "bias": bias}.items():
        if operand is not None and not operand.is_floating_point():
            raise TypeError(sentence(name, "have a floating dtype", operand.dtype))
    require(
        weight.dim() == 2 and weight.shape[0] >= 2, "weight", "have the shape [V, D] with V >= 2", tuple(weight.shape)
    )
    features = weight.shape[1]
    require(
        hidden.dim() >= 1 and hidden.shape[-1] == features,
        "hidden",
        f"have the shape [..., {features}]",
        tuple(hidden.shape),
    )
    if bias is not None:
        require(bias.shape == weight.shape[:1], "bias", f"have the shape [{weight.shape[0]}]", tuple(bias.shape))
    check_targets(targets, hidden.shape[:-1])
    check_target_range(targets, weight.shape[0])


class _LinearTokenStats(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        head: Head,
        watched: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        dtype = _product_dtype(hidden)
        weight_, bias_ = weight.to(dtype), None if bias is None else bias.to(dtype)
        chunks: list[RowStats] = []
        seen: list[Tensor] = []
        for rows in _chunks(hidden.shape[0], head.chunk_rows):
            x = head.logits(_product(hidden[rows].to(dtype), weight_, bias_))
            chunks.append(forward_rows(x, targets[rows], head.support))
            if watched is not None:
                seen.append(_watched_mass(x, chunks[-1].log_z, watched))
        stats = stack_chunks(chunks, hidden)
        ctx.save_for_backward(hidden, weight, bias, targets, *stats)
        ctx.settings = (head, dtype)
        mass_seen = torch.cat(seen) if seen else torch.zeros_like(stats.entropy)
        ctx.mark_non_differentiable(mass_seen)
        return stats.logprobs, stats.entropy, stats.clamped_entropy, stats.kept_mass, mass_seen

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        _, weight, bias, *_ = ctx.saved_tensors
        head, _ = ctx.settings
        with head.gathered(weight, bias):
            return *_head_gradients(ctx, RowGrads(*grads[:4])), None, None, None


def _head_gradients(ctx: Any, row_grads: RowGrads) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    hidden, weight, bias, targets, *saved = ctx.saved_tensors
    stats = RowStats(*saved)
    head, dtype = ctx.settings
    sum_dtype = compute_dtype(weight.dtype)
    weight_, bias_ = weight.to(dtype), None if bias is None else bias.to(dtype)
    grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
    grad_weight = torch.zeros_like(weight, dtype=sum_dtype) if ctx.needs_input_grad[1] else None
    grad_bias = torch.zeros_like(bias, dtype=sum_dtype) if bias is not None and ctx.needs_input_grad[2] else None
    for rows in _chunks(hidden.shape[0], head.chunk_rows):
        hidden_ = hidden[rows].to(dtype)
        z = _product(hidden_, weight_, bias_)
        part = RowStats(*(value[rows] for value in stats))
        grad = backward_rows_(head.logits(z), targets[rows], part, slice_grads(row_grads, rows), head.support)
        grad = head.pull_back_(grad, z)
        if grad_bias is not None:
            grad_bias += grad.sum(0)
        grad = grad.to(dtype)
        if grad_hidden is not None:
            grad_hidden[rows] = grad @ weight_
        if grad_weight is not None:
            # Summed in fp32: rounding every chunk's product to bf16 first would bias the head's gradient.
            grad_weight.addmm_(grad.t().to(sum_dtype), hidden_.to(sum_dtype))
    return (
        grad_hidden,
        None if grad_weight is None else grad_weight.to(weight.dtype),
        None if grad_bias is None or bias is None else grad_bias.to(bias.dtype),
    )


def _product_dtype(hidden: Tensor) -> torch.dtype:
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return hidden @ weight.t() if bias is None else torch.addmm(bias, hidden, weight.t())


def _chunks(rows: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _watched_mass(x: Tensor, log_z: Tensor, watched: Tensor) -> Tensor:
    return (x - log_z.unsqueeze(-1)).exp() @ watched.to(x.dtype)
