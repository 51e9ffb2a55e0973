"""Log-prob, entropy, clamped entropy and kept mass of each row of logits, in chunks of rows.

Chain: `forward_rows` / `backward_rows_` on tensors (`_rows`) -> `_TokenStats` here -> the public `token_stats`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.ops._rows import (
    RowGrads,
    RowStats,
    backward_rows_,
    compute_dtype,
    forward_rows,
    mark_banned,
)
from entrostat.ops._support import (
    Support,
    check_logits,
    check_target_range,
    check_targets,
    check_temperature,
    support_of,
)

_WORKSPACE_ELEMENTS = 1 << 22
"""Logits worked on at a time: 16 MB in fp32, enough to fill the cores and small beside any batch of logits."""


class TokenStats(NamedTuple):
    """Statistics of next-token distributions, one value per token; all four carry gradients."""

    logprobs: Tensor
    """Log-probability of the target, nats."""
    entropy: Tensor
    """Shannon entropy of the full distribution, nats."""
    clamped_entropy: Tensor
    """Shannon entropy of the kept tokens, renormalised, nats; equals `entropy` where nothing is dropped."""
    kept_mass: Tensor
    """Probability of the kept tokens before they are renormalised, in (0, 1]."""


def token_stats(
    logits: Tensor,
    targets: Tensor,
    *,
    clamp: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    temperature: float = 1.0,
    chunk_rows: int | None = None,
) -> TokenStats:
    """Log-prob of the target, entropy, clamped entropy and kept mass of every token, from logits.

    With p = softmax(logits / temperature), A the kept tokens and q = p / M on them:

        logprobs = log p[target]        entropy = -sum p log p
        kept_mass = M = sum_A p         clamped_entropy = -sum_A q log q

    The set A is chosen without gradient; tokens that tie at its edge share the remaining places, so neither value nor
    gradient depends on their order. Arithmetic is fp32 for half precision, float64 for float64. The backward pass
    recomputes each chunk from six saved numbers a row; besides the logits and their gradient, nothing of size
    `[N, V]` is ever held.

    Args:
        logits: `[..., V]`, any strides, `V >= 2`. `-inf` bans a token: it has probability 0 and takes no gradient. A
            row that bans every token has entropies and kept mass 0, log-prob -inf and no gradient.
        targets: `[...]` integers; -100 skips a row's log-prob and every gradient of the row.
        clamp: share of the vocabulary to drop: the `int(clamp * V)` least likely tokens; `[0, 1)`. None and 0 keep all.
        top_k: keep this many of the likeliest tokens instead.
        top_p: keep the smallest likeliest set with this probability instead, the crossing token included.
        temperature: what the logits are divided by first.
        chunk_rows: rows worked on at a time; None picks by size. The result does not depend on it.

    Returns:
        `TokenStats` of tensors `[...]`, fp32 (float64 for float64 logits); empty for an empty batch.

    Raises:
        TypeError: `logits` not floating, `targets` not integer.
        ValueError: shapes that do not fit, a setting out of range, a target outside the vocabulary (checked on CPU).

    Reference:
        Shen, "On Entropy Control in LLM-RL Algorithms", arXiv 2509.03493, section 4.1 (the clamp).

    Example:
        >>> import torch
        >>> stats = token_stats(torch.tensor([[2.0, 1.0, 0.0, -9.0]]), torch.tensor([0]), clamp=0.5)
        >>> [round(float(value), 4) for value in stats]
        [-0.4076, 0.8325, 0.5822, 0.91]
    """
    check_logits(logits)
    check_targets(targets, logits.shape[:-1])
    vocab = logits.shape[-1]
    check_target_range(targets, vocab)
    support = support_of(clamp, top_k, top_p)
    rows = chunk_rows or rows_per_chunk(vocab)
    outputs = _TokenStats.apply(
        logits.reshape(-1, vocab), targets.reshape(-1), support, check_temperature(temperature), rows
    )
    return TokenStats(*(output.view(logits.shape[:-1]) for output in outputs))


def rows_per_chunk(vocab: int) -> int:
    """Rows worked on at a time."""
    return max(1, _WORKSPACE_ELEMENTS // vocab)


def entropies(logits: Tensor, support: Support | None, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return entropy, clamped entropy and kept mass `[...]` of `logits [..., V]`: `token_stats` without targets."""
    check_logits(logits)
    vocab = logits.shape[-1]
    outputs = _TokenStats.apply(
        logits.reshape(-1, vocab), None, support, check_temperature(temperature), rows_per_chunk(vocab)
    )
    _, entropy, clamped, mass = (output.view(logits.shape[:-1]) for output in outputs)
    return entropy, clamped, mass


def stack_chunks(chunks: list[RowStats], like: Tensor) -> RowStats:
    """Join the statistics of consecutive chunks of rows; empty ones if there are none."""
    if not chunks:
        return RowStats(*(like.new_empty(0, dtype=compute_dtype(like.dtype)) for _ in RowStats._fields))
    return RowStats(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def slice_grads(grads: RowGrads, rows: slice) -> RowGrads:
    """The gradients of some rows."""
    return RowGrads(*(None if grad is None else grad[rows] for grad in grads))


class _TokenStats(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, logits: Tensor, targets: Tensor | None, support: Support | None, temperature: float, chunk_rows: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        chunks: list[RowStats] = []
        for start in range(0, logits.shape[0], chunk_rows):
            rows = slice(start, start + chunk_rows)
            chunks.append(forward_rows(_working_copy(logits[rows], temperature), _rows_of(targets, rows), support))
        stats = stack_chunks(chunks, logits)
        ctx.save_for_backward(logits, targets, *stats)
        ctx.settings = (support, temperature, chunk_rows)
        return stats.logprobs, stats.entropy, stats.clamped_entropy, stats.kept_mass

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, targets, *saved = ctx.saved_tensors
        stats = RowStats(*saved)
        support, temperature, chunk_rows = ctx.settings
        grad_logits = torch.empty_like(logits, memory_format=torch.contiguous_format)
        for start in range(0, logits.shape[0], chunk_rows):
            rows = slice(start, start + chunk_rows)
            x = _working_copy(logits[rows], temperature)
            part = RowStats(*(value[rows] for value in stats))
            grad = backward_rows_(x, _rows_of(targets, rows), part, slice_grads(RowGrads(*grads), rows), support)
            grad_logits[rows] = grad.div_(temperature)
        return grad_logits, None, None, None, None


def _working_copy(logits: Tensor, temperature: float) -> Tensor:
    """A chunk of logits in the dtype of the arithmetic, tempered, banned tokens marked; always a copy."""
    x = logits.to(compute_dtype(logits.dtype), copy=True)
    return mark_banned(x if temperature == 1 else x.div_(temperature))


def _rows_of(targets: Tensor | None, rows: slice) -> Tensor | None:
    return None if targets is None else targets[rows]
