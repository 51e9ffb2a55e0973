"""The arithmetic of one chunk of rows: statistics forward, gradient backward. Here in torch; elsewhere, the same."""

# Forward. With x = scale * z [n, V] a row's logits and w_j the weight with which token j is kept (`_support`):
#
#     L  = logsumexp_j x_j            p_j = exp(x_j - L)            H  = L - sum_j p_j x_j
#     Lk = log sum_j w_j exp(x_j)     q_j = w_j exp(x_j - Lk)       Hk = Lk - sum_j q_j x_j
#     logp = x_t - L                  M   = sum_j w_j p_j = exp(Lk - L)
#
# so M is the kept mass and Hk the clamped entropy. Backward, the kept set held fixed:
#
#     dlogp/dx_j = 1[j = t] - p_j
#     dH/dx_j    = -p_j (x_j - L + H)
#     dHk/dx_j   = -q_j (x_j - Lk + Hk)         q_j = w_j p_j / M
#     dM/dx_j    = M (q_j - p_j) = w_j p_j - M p_j
#
# With l_j = x_j - L they gather, for the loss's derivatives g1..g4 by logp, H, Hk and M, into
#
#     1[j=t] g1 + p_j (A + B l_j) + w_j p_j (C + D l_j)
#     A = -g1 - g2 H - g4 M,  B = -g2,  C = g4 - g3 (L - Lk + Hk) / M,  D = -g3 / M.
#
# Hence a forward needs one read of the row (and a selection), a backward one read and one write, and eight numbers a
# row are saved between them, never anything of size [n, V].
#
# Banned tokens (-inf) take part as a huge negative number: `exp` gives an exact 0 and `0 * x` stays 0, where -inf would
# give NaN. A row in which every token is banned has no distribution: entropies and kept mass 0, log-prob -inf, no
# gradient.

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.ops._support import IGNORED, Support, cut, weights

BANNED = -1e30
"""Stands for -inf: far below any logit, yet times zero it is zero. Representable in fp32 and bf16."""


class RowStats(NamedTuple):
    """One value per row, each `[n]`: the outputs and the numbers that the backward pass needs."""

    logprobs: Tensor
    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor
    log_z: Tensor
    log_z_kept: Tensor
    tau: Tensor
    tie_weight: Tensor
    watched_mass: Tensor
    """Probability of the watched tokens; 0 if none are watched. No gradient."""


class RowGrads(NamedTuple):
    """The loss's derivative by each output, each `[n]`; None where the output is not used."""

    logprobs: Tensor | None
    entropy: Tensor | None
    clamped_entropy: Tensor | None
    kept_mass: Tensor | None


class RowCoefficients(NamedTuple):
    """The letters of the gradient's formula, each `[n]`; `c` and `d` are None where the kept set plays no part."""

    g1: Tensor | None
    a: Tensor
    b: Tensor
    c: Tensor | None
    d: Tensor | None


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Half precision is computed in fp32: an entropy band can be 0.1 nats wide, bf16 rounds sums by 0.06."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def mark_banned(x: Tensor) -> Tensor:
    """Replace `-inf` in `x`, in place."""
    return x.clamp_(min=BANNED)


def working_copy(z: Tensor, scale: float) -> Tensor:
    """The logits `scale * z` in the dtype of the arithmetic, banned tokens marked; always a copy."""
    x = z.to(compute_dtype(z.dtype), copy=True)
    return mark_banned(x if scale == 1 else x.mul_(scale))


def streams(z: Tensor) -> bool:
    """Whether a call needs no more memory for many rows than for few: here not, several `[n, V]` are held."""
    return False


def forward_rows(
    z: Tensor, targets: Tensor | None, support: Support | None, scale: float, watched: Tensor | None = None
) -> RowStats:
    """Return the statistics of `scale * z`, `z [n, V]`.

    Args:
        z: logits before the scale, any strides.
        targets: `[n]`, in range, if log-probs are wanted, else they are 0.
        support: the kept tokens, fewer than V; None keeps all.
        scale: the factor.
        watched: `[V]`, 1 for the tokens whose mass is to be reported, else 0.
    """
    x = working_copy(z, scale)
    peak = x.amax(-1)
    # NaN is alive: it has to come out as NaN.
    alive = ~(peak <= BANNED / 2)
    d = x - peak.unsqueeze(-1)
    e = d.exp()
    total = e.sum(-1)
    log_z = peak + total.log()
    # H = log z - sum_j e_j d_j / z with d_j = x_j - max x: no large numbers cancel. And vecdot reads both once and
    # makes no temporary, unlike (e * d).sum(-1).
    entropy = entropy_of(total, torch.linalg.vecdot(e, d), alive)
    logprobs = torch.zeros_like(log_z)
    if targets is not None:
        logprobs = target_logprobs(x.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1), log_z, targets)
    seen = torch.zeros_like(log_z) if watched is None else e @ watched.to(e.dtype) / total
    if support is None:
        whole = alive.to(x.dtype)
        return RowStats(logprobs, entropy, entropy.clone(), whole, log_z, log_z, peak, whole, seen)
    tau, tie_weight = cut(x, support)
    kept = e.mul_(weights(x, tau, tie_weight))
    total_kept = kept.sum(-1)
    clamped = entropy_of(total_kept, torch.linalg.vecdot(kept, d), alive)
    mass = torch.where(alive, total_kept / total, 0)
    return RowStats(logprobs, entropy, clamped, mass, log_z, peak + total_kept.log(), tau, tie_weight, seen)


def entropy_of(total: Tensor, moment: Tensor, alive: Tensor) -> Tensor:
    """Return the entropy `[n]` from the sums of exp and of exp times logit; 0 where every token is banned."""
    # Rounding can leave a one-hot row at -1e-8, and no entropy is negative.
    return torch.where(alive, (total.log() - moment / total).clamp(min=0), 0)


def target_logprobs(target_x: Tensor, log_z: Tensor, targets: Tensor) -> Tensor:
    """Return the log-probs `[n]` of targets with the logits `target_x [n]`."""
    logprobs = torch.where(target_x <= BANNED / 2, -torch.inf, target_x - log_z)
    return torch.where(targets == IGNORED, 0, logprobs)


def coefficients(targets: Tensor | None, stats: RowStats, grads: RowGrads, support: Support | None) -> RowCoefficients:
    """Gather the derivatives by the outputs into the letters of the formula; `support` is None if it keeps all."""
    g1, g2, g3, g4 = _silence(grads, stats, targets)
    if support is None:
        # The clamped entropy is the entropy, and the kept mass is constant.
        g2 = g3 if g2 is None else g2 if g3 is None else g2 + g3
        g3 = g4 = None
    zero = torch.zeros_like(stats.log_z)
    a = zero if g1 is None else -g1
    a = a if g2 is None else a - g2 * stats.entropy
    b = zero if g2 is None else -g2
    if g3 is None and g4 is None:
        return RowCoefficients(g1, a, b, None, None)
    c = d = zero
    if g3 is not None:
        gap = stats.log_z - stats.log_z_kept
        d = -g3 * gap.exp()
        c = d * (gap + stats.clamped_entropy)
    if g4 is not None:
        a, c = a - g4 * stats.kept_mass, c + g4
    return RowCoefficients(g1, a, b, c, d)


def _silence(grads: RowGrads, stats: RowStats, targets: Tensor | None) -> RowGrads:
    """Zero the gradients of rows that have none: no distribution, a skipped target, a banned target."""
    alive = ~(stats.log_z <= BANNED / 2)
    scored = alive if targets is None else alive & (targets != IGNORED)

    def keep(grad: Tensor | None, rows: Tensor) -> Tensor | None:
        return None if grad is None else torch.where(rows, grad.to(stats.log_z.dtype), 0)

    return RowGrads(
        keep(grads.logprobs, scored & (stats.logprobs != -torch.inf)),
        keep(grads.entropy, scored),
        keep(grads.clamped_entropy, scored),
        keep(grads.kept_mass, scored),
    )


def backward_rows(
    z: Tensor, out: Tensor, targets: Tensor | None, stats: RowStats, letters: RowCoefficients, scale: float
) -> None:
    """Write the loss's derivative by `z [n, V]`, the formula of the letters, to `out`, which may be `z` itself.

    `targets [n]` say where `g1` goes; of the statistics, `log_z`, `tau` and `tie_weight` are read.
    """
    g1, a, b, c, d = letters
    x = working_copy(z, scale)
    kept = None if c is None else weights(x, stats.tau, stats.tie_weight)
    logp = x.sub_(stats.log_z.unsqueeze(-1))
    p = logp.exp()
    if kept is None or c is None or d is None:
        grad = logp.mul_(b.unsqueeze(-1)).add_(a.unsqueeze(-1)).mul_(p)
    else:
        part = torch.addcmul(c.unsqueeze(-1), logp, d.unsqueeze(-1)).mul_(kept)
        grad = logp.mul_(b.unsqueeze(-1)).add_(a.unsqueeze(-1)).add_(part).mul_(p)
    if g1 is not None and targets is not None:
        grad.scatter_add_(-1, targets.clamp(min=0).unsqueeze(-1), g1.unsqueeze(-1))
    out.copy_(grad if scale == 1 else grad.mul_(scale))
