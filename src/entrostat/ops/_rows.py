"""The arithmetic of one chunk of rows: statistics forward, gradient backward, on plain tensors.

With `x [n, V]` a row's logits after every transform, `w_j` the weight with which token `j` is kept (`_support`):

    L  = logsumexp_j x_j            p_j = exp(x_j - L)            H  = L - sum_j p_j x_j
    Lk = log sum_j w_j exp(x_j)     q_j = w_j exp(x_j - Lk)       Hk = Lk - sum_j q_j x_j
    logp = x_t - L                  M   = sum_j w_j p_j = exp(Lk - L)

so M is the kept mass and Hk the clamped entropy. Their derivatives, the kept set held fixed:

    dlogp/dx_j = 1[j = t] - p_j
    dH/dx_j    = -p_j (x_j - L + H)
    dHk/dx_j   = -q_j (x_j - Lk + Hk)         q_j = w_j p_j / M
    dM/dx_j    = M (q_j - p_j) = w_j p_j - M p_j

Hence a forward needs one read of the row (and a selection), a backward one read and one write, and what has to be
saved between them is six numbers a row, never anything of size `[n, V]`.

Banned tokens (`-inf`) take part as a huge negative number: `exp` gives an exact 0 and `0 * x` stays 0, where `-inf`
would give NaN. A row in which every token is banned has no distribution: entropies and kept mass 0, log-prob -inf, no
gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.ops._support import IGNORED, Support, cut, weights

BANNED = -1e30
"""Stands for -inf: far below any logit, yet times zero it is zero. Representable in fp32 and bf16."""


class RowStats(NamedTuple):
    """One value per row, each `[n]`: the outputs, and what the backward pass needs."""

    logprobs: Tensor
    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor
    log_z: Tensor
    log_z_kept: Tensor
    tau: Tensor
    tie_weight: Tensor


class RowGrads(NamedTuple):
    """The loss's derivative by each output, each `[n]`; None where the output is not used."""

    logprobs: Tensor | None
    entropy: Tensor | None
    clamped_entropy: Tensor | None
    kept_mass: Tensor | None


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Half precision is computed in fp32: an entropy band can be 0.1 nats wide, bf16 rounds sums by 0.06."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def mark_banned(x: Tensor) -> Tensor:
    """Replace `-inf` in `x`, in place."""
    return x.clamp_(min=BANNED)


def forward_rows(x: Tensor, targets: Tensor | None, support: Support | None) -> RowStats:
    """Return the statistics of `x [n, V]` (banned tokens marked), with `targets [n]` if log-probs are wanted."""
    peak = x.amax(-1)
    d = x - peak.unsqueeze(-1)
    e = d.exp()
    z = e.sum(-1)
    # H = log z - sum_j e_j d_j / z with d_j = x_j - max x: no large numbers cancel.
    entropy = z.log() - d.mul(e).sum(-1) / z
    log_z = peak + z.log()
    alive = peak > BANNED / 2
    # Rounding can leave a one-hot row at -1e-8, and no entropy is negative.
    entropy = torch.where(alive, entropy.clamp(min=0), 0)
    logprobs = _target_logprobs(x, log_z, targets)
    if support is None or support.keeps_all(x.shape[-1]):
        whole = alive.to(x.dtype)
        return RowStats(logprobs, entropy, entropy, whole, log_z, log_z, x.new_full(peak.shape, BANNED), whole)
    tau, tie_weight = cut(x, support)
    kept = e.mul_(weights(x, tau, tie_weight))
    z_kept = kept.sum(-1)
    clamped = z_kept.log() - d.mul_(kept).sum(-1) / z_kept
    clamped = torch.where(alive, clamped.clamp(min=0), 0)
    mass = torch.where(alive, z_kept / z, 0)
    return RowStats(logprobs, entropy, clamped, mass, log_z, peak + z_kept.log(), tau, tie_weight)


def _target_logprobs(x: Tensor, log_z: Tensor, targets: Tensor | None) -> Tensor:
    if targets is None:
        return torch.zeros_like(log_z)
    target_x = x.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    logprobs = torch.where(target_x > BANNED / 2, target_x - log_z, -torch.inf)
    return torch.where(targets == IGNORED, 0, logprobs)


def silence(grads: RowGrads, stats: RowStats, targets: Tensor | None) -> RowGrads:
    """Zero the gradients of rows that have none: no distribution, a skipped target, a banned target."""
    alive = stats.log_z > BANNED / 2
    scored = alive if targets is None else alive & (targets != IGNORED)

    def keep(grad: Tensor | None, rows: Tensor) -> Tensor | None:
        return None if grad is None else torch.where(rows, grad.to(stats.log_z.dtype), 0)

    return RowGrads(
        keep(grads.logprobs, scored & stats.logprobs.isfinite()),
        keep(grads.entropy, scored),
        keep(grads.clamped_entropy, scored),
        keep(grads.kept_mass, scored),
    )


def backward_rows_(
    x: Tensor, targets: Tensor | None, stats: RowStats, grads: RowGrads, support: Support | None
) -> Tensor:
    """Turn `x [n, V]` into the loss's derivative by it, in place, and return it.

    With l_j = x_j - L the log-prob of token j, the four derivatives gather into

        1[j=t] g1 + p_j (A + B l_j) + w_j p_j (C + D l_j)
        A = -g1 - g2 H - g4 M,  B = -g2,  C = g4 - g3 (L - Lk + Hk) / M,  D = -g3 / M.
    """
    g1, g2, g3, g4 = silence(grads, stats, targets)
    zero = torch.zeros_like(stats.log_z)
    a, b, c, d = zero, zero, zero, zero
    if g1 is not None:
        a = a - g1
    if g2 is not None:
        a, b = a - g2 * stats.entropy, b - g2
    if support is None or support.keeps_all(x.shape[-1]):
        # The clamped entropy is the entropy, and the kept mass is constant.
        if g3 is not None:
            a, b = a - g3 * stats.entropy, b - g3
        g3 = g4 = None
    if g3 is not None:
        inverse_mass = (stats.log_z - stats.log_z_kept).exp()
        c = c - g3 * inverse_mass * (stats.log_z - stats.log_z_kept + stats.clamped_entropy)
        d = d - g3 * inverse_mass
    if g4 is not None:
        a, c = a - g4 * stats.kept_mass, c + g4
    kept = None if g3 is None and g4 is None else weights(x, stats.tau, stats.tie_weight)
    logp = x.sub_(stats.log_z.unsqueeze(-1))
    p = logp.exp()
    slope = b.unsqueeze(-1) if kept is None else b.unsqueeze(-1) + kept * d.unsqueeze(-1)
    offset = a.unsqueeze(-1) if kept is None else a.unsqueeze(-1) + kept * c.unsqueeze(-1)
    grad = logp.mul_(slope).add_(offset).mul_(p)
    if g1 is not None and targets is not None:
        index = targets.clamp(min=0).unsqueeze(-1)
        grad.scatter_add_(-1, index, g1.unsqueeze(-1).to(grad.dtype))
    return grad
