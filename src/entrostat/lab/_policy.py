"""Tabular policies: a row of logits per state -> a distribution over the actions that the state allows.

Letters: S states, A actions. Everything is float64 and differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.errors import require

FORBIDDEN = -torch.inf


def check_logits(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return `logits [..., A]` in float64 with forbidden actions at -inf; raise if no choice is left to make.

    Raises:
        TypeError: `logits` or `mask` is not a tensor of the right kind.
        ValueError: fewer than two actions, NaN, a mask of another shape, or a state that allows nothing.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise TypeError(f"`logits` must be a floating tensor, got {type(logits).__name__}.")
    require(logits.dim() >= 1 and logits.shape[-1] >= 2, "logits", "have at least two actions", tuple(logits.shape))
    require(not bool(logits.isnan().any()), "logits", "be free of NaN", "NaN")
    logits = logits.double()
    if mask is None:
        return logits
    check_mask(mask, logits.shape)
    return logits.masked_fill(~mask, FORBIDDEN)


def check_mask(mask: Tensor, shape: torch.Size) -> None:
    """Raise unless `mask` is boolean, of this shape, and leaves every state an action."""
    if mask.dtype != torch.bool:
        raise TypeError(f"`mask` must be boolean (True allows), got {mask.dtype}.")
    require(mask.shape == shape, "mask", f"have shape {tuple(shape)}", tuple(mask.shape))
    stuck = ~mask.any(-1)
    count = int(stuck.sum())
    remedy = "Allow an action there, or leave the state out."
    require(count == 0, "mask", "allow an action in every state", f"{count} states without one", remedy)


def log_softmax(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return log-probabilities `[..., A]`, -inf for forbidden actions."""
    return check_logits(logits, mask).log_softmax(-1)


def softmax(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the softmax policy `[..., A]`, exactly 0 for forbidden actions.

    Example:
        >>> softmax(torch.tensor([0.0, 0.0, 5.0]), torch.tensor([True, True, False])).tolist()
        [0.5, 0.5, 0.0]
    """
    return log_softmax(logits, mask).exp()


def sparsemax(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the Euclidean projection of `logits [..., A]` onto the simplex: the optimal policy under Tsallis entropy.

        p = argmax_p  p.z + (1 - |p|^2)/2  =  max(z - tau, 0),   tau = (sum_{support} z - 1) / |support|

    Actions whose logit is more than 1 below the greatest one always get exactly 0.

    Reference:
        Martins and Astudillo, "From softmax to sparsemax", 2016.

    Example:
        >>> sparsemax(torch.tensor([1.0, 0.5, -3.0])).tolist()
        [0.75, 0.25, 0.0]
    """
    z = check_logits(logits, mask)
    with torch.no_grad():  # which actions are in the support is a constant of the formula above
        ordered = z.sort(dim=-1, descending=True).values
        rank = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
        inside = 1 + rank * ordered > ordered.cumsum(-1)
        size = inside.sum(-1, keepdim=True)
        support = z >= ordered.gather(-1, size - 1)
    tau = (z.masked_fill(~support, 0).sum(-1, keepdim=True) - 1) / size
    return (z - tau).clamp(min=0)


def entropy(probs: Tensor) -> Tensor:
    """Return the Shannon entropy of `probs [..., A]` in nats; `0 log 0 = 0`, with a finite gradient.

    Example:
        >>> round(float(entropy(torch.tensor([0.5, 0.5, 0.0]))), 4)
        0.6931
    """
    return -(probs * probs.where(probs > 0, 1.0).log()).sum(-1)


def tsallis_entropy(probs: Tensor) -> Tensor:
    """Return the Tsallis entropy of index 2, `(1 - sum p^2) / 2`, of `probs [..., A]`."""
    return (1 - probs.square().sum(-1)) / 2


def kept_mask(logits: Tensor, clamp: float) -> Tensor:
    """Return AEnt's set A(s) as booleans: all but the `int(clamp * A)` least likely actions of `logits [..., A]`.

    Example:
        >>> kept_mask(torch.tensor([3.0, 1.0, 2.0, 0.0]), 0.5).tolist()
        [True, False, True, False]
    """
    require(0 <= clamp < 1, "clamp", "lie in [0, 1)", clamp)
    removed = int(clamp * logits.shape[-1])
    kept = torch.ones_like(logits, dtype=torch.bool)
    if removed:
        kept.scatter_(-1, logits.detach().topk(removed, dim=-1, largest=False).indices, False)
    return kept
