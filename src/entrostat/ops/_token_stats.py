"""Log-prob, entropy, clamped entropy and kept mass of each row of logits.

Chain: `forward_rows` / `backward_rows` on tensors (`_rows` and its peers) -> `_backend.Sweep` over all rows ->
`_TokenStats` for autograd -> the public `token_stats`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count
from entrostat.ops._backend import Sweep, pick, slice_grads, stack_chunks
from entrostat.ops._rows import RowGrads, RowStats
from entrostat.ops._support import (
    Support,
    check_logits,
    check_target_range,
    check_targets,
    check_temperature,
    support_of,
)


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
    support: Support | None = None,
    temperature: float = 1.0,
    chunk_rows: int | None = None,
    overwrite: bool = False,
    backend: str | None = None,
) -> TokenStats:
    """Log-prob of the target, entropy, clamped entropy and kept mass of every token, from logits.

    With p = softmax(logits / temperature), A the kept tokens and q = p / M on them:

        logprobs = log p[target]        entropy = -sum p log p
        kept_mass = M = sum_A p         clamped_entropy = -sum_A q log q

    The set A is chosen without gradient; tokens that tie at its edge share the remaining places, so neither value nor
    gradient depends on their order. Arithmetic is fp32 for half precision, float64 for float64. The backward pass
    recomputes each chunk from eight saved numbers a row; besides the logits and their gradient, nothing of size
    `[N, V]` is ever held.

    Args:
        logits: `[..., V]`, any strides, `V >= 2`. `-inf` bans a token: it has probability 0 and takes no gradient. A
            row that bans every token has entropies and kept mass 0, log-prob -inf and no gradient.
        targets: `[...]` integers; -100 skips a row's log-prob and every gradient of the row.
        clamp: share of the vocabulary to drop: the `int(clamp * V)` least likely tokens; `[0, 1)`. None and 0 keep all.
        top_k: keep this many of the likeliest tokens instead.
        top_p: keep the smallest likeliest set with this probability instead, the crossing token included.
        support: the rule as a value instead, such as a measure's.
        temperature: divides the logits first.
        chunk_rows: rows worked on at a time; None picks by size. The result does not depend on it.
        overwrite: let the backward pass write the gradient over the logits, which halves the memory. Only for logits
            that nothing else reads afterwards, and that are not a leaf.
        backend: the implementation, see `available_backends`; None takes the environment's choice, else the fastest.

    Returns:
        `TokenStats` of tensors `[...]`, fp32 (float64 for float64 logits); empty for an empty batch.

    Raises:
        TypeError: `logits` not floating, `targets` not integer.
        ValueError: shapes that do not fit, a setting out of range, a target outside the vocabulary (checked on CPU), a
            backend that cannot be had.

    Reference:
        Shen, "On Entropy Control in LLM-RL Algorithms", arXiv 2509.03493, section 4.1 (the clamp).

    Example:
        >>> import torch
        >>> stats = token_stats(torch.tensor([[2.0, 1.0, 0.0, -9.0]]), torch.tensor([0]), clamp=0.5)
        >>> [round(float(value), 4) for value in stats]
        [-0.4076, 0.8325, 0.5822, 0.91]
    """
    support = support_of(clamp, top_k, top_p, support)
    sweep = _checked(logits, targets, support, temperature, chunk_rows, overwrite, backend)
    return TokenStats(*_TokenStats.apply(logits, targets, sweep, overwrite))


def check_token_stats(
    logits: Tensor, targets: Tensor, *, support: Support | None = None, temperature: float = 1.0
) -> None:
    """Make every check of a `token_stats` call and compute nothing; `entrostat bench` times this.

    Args:
        logits: as in `token_stats`.
        targets: as in `token_stats`.
        support: the kept tokens; None keeps all.
        temperature: divides the logits.

    Raises:
        TypeError: as in `token_stats`.
        ValueError: as in `token_stats`.

    Example:
        >>> import torch
        >>> check_token_stats(torch.zeros(2, 8), torch.tensor([0, 8]))
        Traceback (most recent call last):
        ValueError: `targets` must be tokens in [0, 8) or -100, got targets=(0, 8).
    """
    _checked(logits, targets, support, temperature)
    check_target_range(targets, logits.shape[-1])


def _checked(
    logits: Tensor,
    targets: Tensor,
    support: Support | None,
    temperature: float = 1.0,
    chunk_rows: int | None = None,
    overwrite: bool = False,
    backend: str | None = None,
) -> Sweep:
    """Check everything a call was given, once, but for the range of the targets, which needs a read of them."""
    check_logits(logits)
    check_targets(targets, logits.shape[:-1])
    if overwrite:
        shared = any(stride == 0 and size > 1 for stride, size in zip(logits.stride(), logits.shape, strict=True))
        owned = not shared and not (logits.is_leaf and logits.requires_grad)
        require(owned, "overwrite", "be False for logits that are a leaf or share memory between rows", overwrite)
    if chunk_rows is not None:
        require_count("chunk_rows", chunk_rows, least=1)
    return Sweep(pick(logits, backend), support, 1 / check_temperature(temperature), chunk_rows)


class TokenEntropies(NamedTuple):
    """The three of `TokenStats` that need no target, one value per token; all carry gradients."""

    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor


def token_entropies(logits: Tensor, *, support: Support | None = None, temperature: float = 1.0) -> TokenEntropies:
    """Entropy, clamped entropy and kept mass of every token, from logits: `token_stats` without targets.

    Args:
        logits: `[..., V]`, as in `token_stats`.
        support: the tokens that the clamped entropy keeps; None keeps all.
        temperature: divides the logits first.

    Returns:
        `TokenEntropies` of tensors `[...]`, fp32 (float64 for float64 logits).

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: fewer than two tokens, or `temperature` not positive.

    Example:
        >>> import torch
        >>> found = token_entropies(torch.tensor([2.0, 1.0, 0.0, -9.0]), support=Support(clamp=0.5))
        >>> [round(float(value), 4) for value in found]
        [0.8325, 0.5822, 0.91]
    """
    check_logits(logits)
    sweep = Sweep(pick(logits), support, 1 / check_temperature(temperature))
    return TokenEntropies(*_TokenStats.apply(logits, None, sweep, False)[1:])


def _matrices(logits: Tensor) -> Iterator[Tensor]:
    """Yield the rows of `logits [..., V]` as few matrices `[n, V]`, all of them views."""
    # Hosts pass `logits[:, :-1]`; a reshape of it to [N, V] would be a second copy of all logits.
    if logits.dim() <= 2:
        yield logits if logits.dim() == 2 else logits.unsqueeze(0)
        return
    try:
        yield logits.view(-1, logits.shape[-1])
    except RuntimeError:
        for part in logits.unbind(0):
            yield from _matrices(part)


def _places(logits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    start = 0
    for z in _matrices(logits):
        yield slice(start, start + len(z)), z
        start += len(z)


class _TokenStats(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, logits: Tensor, targets: Tensor | None, sweep: Sweep, overwrite: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        flat = None if targets is None else targets.reshape(-1)
        parts = [sweep.forward(z, None if flat is None else flat[at]) for at, z in _places(logits)]
        stats = stack_chunks(parts, logits)
        ctx.save_for_backward(logits, flat, *stats)
        ctx.settings = sweep, overwrite
        logprobs, entropy, clamped, mass = (value.view(logits.shape[:-1]) for value in stats[:4])
        return logprobs, entropy, clamped, mass

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, targets, *saved = ctx.saved_tensors
        sweep, overwrite = ctx.settings
        flat = RowGrads(*(None if grad is None else grad.reshape(-1) for grad in grads))
        fresh = None if overwrite else torch.empty_like(logits, memory_format=torch.contiguous_format)
        for at, z in _places(logits.detach()):
            out = z if fresh is None else fresh.view(-1, logits.shape[-1])[at]
            stats = RowStats(*(value[at] for value in saved))
            target = None if targets is None else targets[at]
            sweep.backward(z, out, target, stats, slice_grads(flat, at))
        return logits.detach() if fresh is None else fresh, None, None, None
