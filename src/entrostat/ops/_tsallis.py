"""Tsallis entropy of each row of logits, a few rows at a time, with a backward pass that saves one number per row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entrostat.errors import require, require_finite
from entrostat.ops._linear_token_stats import rows_per_chunk
from entrostat.ops._rows import BANNED, compute_dtype, mark_banned
from entrostat.ops._support import check_logits, check_temperature
from entrostat.ops._token_stats import token_entropies

# With u_j = p_j^q and P = sum_j u_j:
#     S = (1 - P) / (q (q - 1))        dS/dx_j = -(u_j - p_j P) / (q - 1),        x = logits / temperature
# from dP/dx_j = q (u_j - p_j P). At q = 2: S = (1 - sum p^2) / 2. As q -> 1 both go to Shannon's.


def tsallis_entropy(logits: Tensor, *, q: float, temperature: float = 1.0) -> Tensor:
    """Tsallis entropy of every token, from logits; see `measures.tsallis`.

        S_q = (1 - sum_j p_j^q) / (q (q - 1)),        S_1 = Shannon's,        p = softmax(logits / temperature)

    Args:
        logits: `[..., V]`, `V >= 2`; `-inf` bans a token.
        q: the index, positive.
        temperature: divides the logits first.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable. 0 where every token is banned.

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: `q` not positive, fewer than two tokens, or `temperature` not positive.

    Example:
        >>> float(tsallis_entropy(torch.zeros(4), q=2.0))
        0.375
    """
    check_logits(logits)
    require(require_finite("q", q) > 0, "q", "be positive", q)
    if q == 1:
        return token_entropies(logits, temperature=temperature).entropy
    flat = logits.reshape(-1, logits.shape[-1])
    return _Tsallis.apply(flat, float(q), check_temperature(temperature)).view(logits.shape[:-1])


class _Tsallis(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, q: float, temperature: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        totals = [_power_sum(_logp(chunk, temperature)[0], q) for chunk in _chunks(logits)]
        total = torch.cat(totals) if totals else logits.new_empty(0, dtype=compute_dtype(logits.dtype))
        ctx.save_for_backward(logits, total)
        ctx.settings = (q, temperature)
        return (1 - total) / (q * (q - 1))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, total = ctx.saved_tensors
        q, temperature = ctx.settings
        out = torch.empty_like(logits, memory_format=torch.contiguous_format)
        start = 0
        for chunk in _chunks(logits):
            rows = slice(start, start + chunk.shape[0])
            logp, alive = _logp(chunk, temperature)
            scale = torch.where(alive, grad[rows] / ((1 - q) * temperature), 0).unsqueeze(-1)
            out[rows] = ((logp * q).exp() - logp.exp() * total[rows].unsqueeze(-1)) * scale
            start = rows.stop
        return out, None, None


def _chunks(logits: Tensor) -> tuple[Tensor, ...]:
    return logits.split(rows_per_chunk(logits.shape[-1])) if logits.shape[0] else ()


def _logp(chunk: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    # A row that bans every token is given the certain token it lacks: p = (1, 0, ...) has entropy 0 for every q.
    x = mark_banned(chunk.to(compute_dtype(chunk.dtype), copy=True).div_(temperature))
    alive = x.amax(-1) > BANNED / 2
    x[..., 0] = torch.where(alive, x[..., 0], 0)
    return x.log_softmax(-1), alive


def _power_sum(logp: Tensor, q: float) -> Tensor:
    return (logp * q).exp().sum(-1)
