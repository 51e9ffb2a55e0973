"""The same statistics from hidden states and the language model's head, holding logits of one chunk of rows only."""

# For each chunk of rows: one matrix product gives the chunk's logits and a forward sweep reduces them. In the backward
# pass the product is formed again (or was kept, if all of it is small), a backward sweep turns it into its own gradient
# in place, and two more products carry that gradient to the hidden states and to the weight. Because a chunk holds
# whole rows, the exact threshold of the clamp needs nothing that the unfused form does not have.
#
# With s = logit_scale, c = softcap, T = temperature and z = hidden @ weight.T + bias:
#
#     x = c tanh(s z / c) / T        dx/dz = s (1 - tanh(s z / c)^2) / T        (x = s z / T without a softcap)

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite, sentence
from entrostat.ops._backend import Sweep, pick, row_slices, slice_grads, stack_chunks
from entrostat.ops._rows import RowGrads, RowStats, compute_dtype
from entrostat.ops._support import Support, check_targets, check_temperature, support_of
from entrostat.ops._token_stats import TokenStats

KEPT_PRODUCT_BYTES = 64 << 20
"""Up to this size in all, the products hidden @ weight.T are kept from the forward to the backward pass of a fused
head, which saves one matrix product in four."""

SAVED_ROW_BYTES = 4 * len(RowStats._fields) + 8
"""Bytes that a fused head saves per token from the forward to the backward pass: fp32 statistics and the target."""

_WORKSPACE_LOGITS = 1 << 25
"""Logits of a fused head that are held at a time, 128 MB in fp32: matrix products want many rows, memory few."""


def rows_per_chunk(vocab: int) -> int:
    """Rows of logits that a fused head holds at a time by default.

    Args:
        vocab: tokens of the vocabulary.

    Returns:
        At least 1: 128 MB of logits in fp32.

    Example:
        >>> rows_per_chunk(151_936)
        220
    """
    return max(1, _WORKSPACE_LOGITS // vocab)


@dataclass(frozen=True, kw_only=True)
class Head:
    """How a language model's head turns hidden states into logits, and which tokens are kept; for `head_stats`.

        logits = softcap * tanh(logit_scale * (hidden @ weight.T + bias) / softcap) / temperature

    Args:
        support: the tokens that the clamped entropy keeps; None keeps all.
        temperature: divides the logits, after the softcap.
        softcap: bound of the logits; None for none.
        logit_scale: factor on the product, before the softcap.
        chunk_rows: rows worked on at a time; None for `rows_per_chunk`.
        gathered: called with weight and bias and entered around the backward pass's use of them: hosts that shard
            parameters gather them here.
        backend: the implementation, see `available_backends`; None takes the environment's choice, else the fastest.

    Example:
        >>> Head(support=Support(clamp=0.3), softcap=30.0).temperature
        1.0
    """

    support: Support | None = None
    temperature: float = 1.0
    softcap: float | None = None
    logit_scale: float = 1.0
    chunk_rows: int | None = None
    gathered: Callable[[Tensor, Tensor | None], AbstractContextManager[Any]] = lambda weight, bias: nullcontext()
    backend: str | None = None

    def logits(self, z: Tensor) -> tuple[Tensor, float]:
        """Return `x` and `scale` with logits `scale * x`, from a product `z [n, V]`; `x` is `z` without a softcap."""
        if self.softcap is None:
            return z, self.logit_scale / self.temperature
        x = z.to(compute_dtype(z.dtype), copy=True).mul_(self.logit_scale / self.softcap).tanh_()
        return x.mul_(self.softcap / self.temperature), 1.0

    def pull_back_(self, grad: Tensor, z: Tensor) -> Tensor:
        """Carry the derivative by softcapped logits `[n, V]` to the product `z [n, V]`, in place."""
        assert self.softcap is not None
        bend = z.to(grad.dtype, copy=True).mul_(self.logit_scale / self.softcap).tanh_()
        return grad.mul_(bend.square_().neg_().add_(1)).mul_(self.logit_scale / self.temperature)


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
    backend: str | None = None,
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
        temperature: divides the logits, after the softcap.
        softcap: bound of the logits, as in Gemma; None for none.
        logit_scale: factor on the product, before the softcap.
        chunk_rows: rows worked on at a time; None picks by size. The result does not depend on it but for rounding.
        backend: the implementation, see `available_backends`; None takes the environment's choice, else the fastest.

    Returns:
        `TokenStats` of tensors `[...]`, fp32 (float64 for float64 input).

    Raises:
        TypeError: inputs of a wrong dtype.
        ValueError: shapes that do not fit, a setting out of range, a target outside the vocabulary (checked on CPU), a
            backend that cannot be had.

    Example:
        >>> import torch
        >>> hidden, weight = torch.eye(2, 4), torch.arange(24.0).reshape(6, 4) / 10
        >>> stats = linear_token_stats(hidden, weight, torch.tensor([5, 0]), clamp=0.5)
        >>> [round(value, 4) for value in stats.clamped_entropy.tolist()]
        [1.0473, 1.0473]
    """
    _check_operands(hidden, weight, bias, targets)
    pick(hidden, backend)
    if chunk_rows is not None:
        require_count("chunk_rows", chunk_rows, least=1)
    if softcap is not None:
        require(require_finite("softcap", softcap) > 0, "softcap", "be positive", softcap)
    head = Head(
        support=support_of(clamp, top_k, top_p),
        temperature=check_temperature(temperature),
        softcap=softcap,
        logit_scale=require_finite("logit_scale", logit_scale),
        chunk_rows=chunk_rows,
        backend=backend,
    )
    found = head_stats(hidden.reshape(-1, hidden.shape[-1]), weight, targets.reshape(-1), head, bias=bias)
    return TokenStats(*(value.view(targets.shape) for value in found[:4]))


class HeadStats(NamedTuple):
    """`TokenStats` of rows, each `[N]`, with gradients, and the mass on watched tokens."""

    logprobs: Tensor
    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor
    watched_mass: Tensor
    """Probability of the watched tokens, without gradient; 0 if none are watched."""


def head_stats(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    head: Head,
    *,
    bias: Tensor | None = None,
    watched: Tensor | None = None,
) -> HeadStats:
    """`linear_token_stats` for hosts: rows only, all settings in one value, no checks, and the mass on watched tokens.

    Args:
        hidden: `[N, D]` last hidden states.
        weight: `[V, D]` the head's matrix.
        targets: `[N]` integers; -100 skips a row's log-prob and every gradient of the row.
        head: everything else about the head.
        bias: `[V]`, optional.
        watched: `[V]`, 1 for the tokens whose total probability is reported, else 0.

    Returns:
        `HeadStats` of tensors `[N]`, fp32 (float64 for float64 input).

    Example:
        >>> import torch
        >>> hidden, weight, yes = torch.zeros(1, 4), torch.ones(8, 4), torch.arange(8) < 2
        >>> found = head_stats(hidden, weight, torch.tensor([5]), Head(), watched=yes.float())
        >>> round(float(found.entropy), 4), float(found.watched_mass)  # eight equal tokens, two of them watched
        (2.0794, 0.25)
    """
    return HeadStats(*_LinearTokenStats.apply(hidden, weight, bias, targets, head, watched))


def _check_operands(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> None:
    for name, operand in {"hidden": hidden, "weight": weight, "bias": bias}.items():
        if operand is not None and not operand.is_floating_point():
            raise TypeError(sentence(name, "have a floating dtype", operand.dtype))
    matrix = weight.dim() == 2 and weight.shape[0] >= 2
    require(matrix, "weight", "have the shape [V, D] with V >= 2", tuple(weight.shape))
    vocab, features = weight.shape
    fits = hidden.dim() >= 1 and hidden.shape[-1] == features
    require(fits, "hidden", f"have the shape [..., {features}]", tuple(hidden.shape))
    if bias is not None:
        require(bias.shape == (vocab,), "bias", f"have the shape [{vocab}]", tuple(bias.shape))
    check_targets(targets, hidden.shape[:-1])


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
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        weight_, bias_ = weight.to(dtype), None if bias is None else bias.to(dtype)
        keep = any(ctx.needs_input_grad) and len(hidden) * len(weight) * dtype.itemsize <= KEPT_PRODUCT_BYTES
        parts: list[RowStats] = []
        ctx.products = []
        for rows in row_slices(len(hidden), head.chunk_rows or rows_per_chunk(len(weight))):
            z = _product(hidden[rows].to(dtype), weight_, bias_)
            x, scale = head.logits(z)
            parts.append(Sweep(pick(x, head.backend), head.support, scale).forward(x, targets[rows], watched))
            if keep:
                ctx.products.append(z)
        stats = stack_chunks(parts, hidden)
        ctx.save_for_backward(hidden, weight, bias, targets, *stats)
        ctx.settings = (head, dtype)
        ctx.mark_non_differentiable(stats.watched_mass)
        return stats.logprobs, stats.entropy, stats.clamped_entropy, stats.kept_mass, stats.watched_mass

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        _, weight, bias, *_ = ctx.saved_tensors
        head, _ = ctx.settings
        with head.gathered(weight, bias), torch.autocast(weight.device.type, enabled=False):
            return *_head_gradients(ctx, RowGrads(*grads[:4])), None, None, None


def _head_gradients(ctx: Any, row_grads: RowGrads) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    hidden, weight, bias, targets, *saved = ctx.saved_tensors
    head, dtype = ctx.settings
    weight_, bias_ = weight.to(dtype), None if bias is None else bias.to(dtype)
    # The kept products become their own gradients; a second walk over the graph has to form them again.
    products, ctx.products = iter(ctx.products), []
    wants_hidden, wants_weight, wants_bias, *_ = ctx.needs_input_grad
    grad_hidden = torch.empty_like(hidden) if wants_hidden else None
    grad_weight = torch.zeros_like(weight, dtype=compute_dtype(weight.dtype)) if wants_weight else None
    grad_bias = torch.zeros_like(bias, dtype=compute_dtype(bias.dtype)) if bias is not None and wants_bias else None
    for rows in row_slices(len(hidden), head.chunk_rows or rows_per_chunk(len(weight))):
        hidden_ = hidden[rows].to(dtype)
        z = next(products, None)
        if z is None:
            z = _product(hidden_, weight_, bias_)
        stats = RowStats(*(value[rows] for value in saved))
        grad = _product_gradient(z, targets[rows], stats, slice_grads(row_grads, rows), head)
        if grad_bias is not None:
            grad_bias += grad.sum(0, dtype=grad_bias.dtype)
        if grad_hidden is not None:
            grad_hidden[rows] = grad @ weight_
        if grad_weight is not None:
            _accumulate(grad_weight, grad.t(), hidden_)
    return (
        grad_hidden,
        None if grad_weight is None else grad_weight.to(weight.dtype),
        None if grad_bias is None or bias is None else grad_bias.to(bias.dtype),
    )


def _product_gradient(z: Tensor, targets: Tensor, stats: RowStats, grads: RowGrads, head: Head) -> Tensor:
    """Return the derivative by the product `z`, in its dtype, destroying `z`."""
    x, scale = head.logits(z)
    Sweep(pick(x, head.backend), head.support, scale).backward(x, x, targets, stats, grads)
    return x if head.softcap is None else head.pull_back_(x, z).to(z.dtype)


def _accumulate(total: Tensor, left: Tensor, right: Tensor) -> None:
    # Summed in fp32: rounding every chunk's product to bf16 first would bias the head's gradient.
    if total.dtype != left.dtype and total.is_cuda:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total.addmm_(left.to(total.dtype), right.to(total.dtype))


def _product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return hidden @ weight.t() if bias is None else torch.addmm(bias, hidden, weight.t())
