"""Offline-LD: maximum entropy under masks, with the target that each state can reach; pessimism for offline data."""

from __future__ import annotations

from torch import Tensor

from entrostat.errors import require, require_finite, sentence
from entrostat.lab._policy import FORBIDDEN, entropy, log_softmax


def masked_target(allowed: Tensor, *, ratio: float = 0.98) -> Tensor:
    """Entropy target of each state or token position: `ratio * log n`, with n the number of allowed actions.

    A target from the number of all actions is out of reach where few are allowed, and drives the temperature to
    infinity. For a language model under constrained decoding take a lower ratio than the paper's.

    Args:
        allowed: `[...]` counts, at least 1.
        ratio: share of the largest entropy, in (0, 1].

    Returns:
        `[...]` float64, nats; 0 where one action is left.

    Raises:
        ValueError: a count below 1, or `ratio` outside (0, 1].

    Reference:
        van Remmerden, Bukhsh, Zhang, "Offline reinforcement learning for learning to dispatch", arXiv 2409.10589.

    Example:
        >>> import torch
        >>> [round(h, 3) for h in masked_target(torch.tensor([1, 2, 20])).tolist()]
        [0.0, 0.679, 2.936]
    """
    require(0 < require_finite("ratio", ratio) <= 1, "ratio", "lie in (0, 1]", ratio)
    remedy = "Every state must allow an action."
    require(bool((allowed >= 1).all()), "allowed", "be at least 1 everywhere", int(allowed.min()), remedy)
    return ratio * allowed.double().log()


def temperature_loss(log_coef: Tensor, entropies: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """Loss whose descent raises the temperature while the entropy is below its target.

        mean over states with a choice of  log_coef * (H - target)

    Args:
        log_coef: scalar, with gradient.
        entropies: `[...]` entropies of the policy; taken without gradient.
        targets: `[...]`, as `masked_target` gives them.
        allowed: `[...]` counts; states with one allowed action are skipped, they have no entropy to control.

    Returns:
        A scalar; 0, with gradient 0, where no state has a choice.

    Example:
        >>> import torch
        >>> log_coef = torch.tensor(0.0, requires_grad=True)
        >>> two = torch.tensor([2, 1])
        >>> temperature_loss(log_coef, torch.tensor([0.5, 0.0]), torch.tensor([0.6, 9.9]), two).backward()
        >>> round(float(log_coef.grad), 6)
        -0.1
    """
    choice = allowed > 1
    gaps = (entropies.detach() - targets).where(choice, 0)
    return log_coef * gaps.sum() / choice.sum().clamp(min=1)


def conservative_penalty(q: Tensor, taken: Tensor, mask: Tensor, *, temperature: float = 1.0) -> Tensor:
    """How far the values of all allowed actions stand above that of the one in the data, per state.

        T logsumexp_{allowed a} (Q(s, a) / T) - Q(s, a_data)

    Args:
        q: `[..., A]`.
        taken: `[...]` actions in the data, allowed ones.
        mask: `[..., A]`, True allows.
        temperature: T, positive.

    Returns:
        `[...]`, at least 0.

    Raises:
        ValueError: `temperature` not positive, or an action in the data that the mask forbids.

    Example:
        >>> import torch
        >>> mask = torch.tensor([True, True, False])
        >>> round(float(conservative_penalty(torch.tensor([1.0, 1.0, 9.0]), torch.tensor(0), mask)), 4)  # log 2
        0.6931
    """
    require(require_finite("temperature", temperature) > 0, "temperature", "be positive", temperature)
    chosen = taken.unsqueeze(-1)
    require(bool(mask.gather(-1, chosen).all()), "taken", "be allowed by `mask`", "a forbidden action")
    above = temperature * (q.masked_fill(~mask, FORBIDDEN) / temperature).logsumexp(-1)
    return above - q.gather(-1, chosen).squeeze(-1)


def actor_loss(logits: Tensor, q: Tensor, mask: Tensor, *, coef: float) -> Tensor:
    """Soft actor loss per state over allowed actions: `sum_a pi(a|s) (coef * log pi(a|s) - Q(s, a))`.

    Args:
        logits: `[..., A]`, with gradient.
        q: `[..., A]`, the smaller of two critics; taken without gradient.
        mask: `[..., A]`, True allows.
        coef: the temperature, at least 0.

    Raises:
        ValueError: `coef` negative, or a state that allows nothing.

    Example:
        >>> import torch
        >>> mask = torch.tensor([True, True, False])
        >>> round(float(actor_loss(torch.zeros(3), torch.tensor([1.0, 3.0, 9.0]), mask, coef=0.0)), 6)
        -2.0
    """
    if coef < 0:
        raise ValueError(sentence("coef", "be at least 0", coef))
    policy = log_softmax(logits, mask).exp()
    return -coef * entropy(policy) - (policy * q.detach()).sum(-1)
