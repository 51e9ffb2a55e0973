"""Offline-LD: maximum entropy under masks, with the target that each state can reach; pessimism for offline data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.controllers import Dual
from entrostat.errors import require, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._policy import FORBIDDEN, entropy, log_softmax, softmax


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
        >>> mask = torch.tensor([True, True, False])
        >>> round(float(actor_loss(torch.zeros(3), torch.tensor([1.0, 3.0, 9.0]), mask, coef=0.0)), 6)
        -2.0
    """
    require(coef >= 0, "coef", "be at least 0", coef)
    policy = log_softmax(logits, mask).exp()
    return -coef * entropy(policy) - (policy * q.detach()).sum(-1)


# [55] A target entropy from the number of all actions cannot be met under a mask, and the temperature explodes.


def dual_ascent(q: Tensor, target: float, *, steps: int) -> list[float]:
    """Return the temperature after each step of dual ascent where the policy is `softmax(q / temperature)`."""
    law = Dual(target=target, rate=0.02, initial=1.0, floor=math.exp(-20), ceiling=math.exp(20))
    state = law.init()
    path = [law.coefficient(state)]
    for _ in range(steps):
        state = law.update(state, entropy=_entropy(q, path[-1]))
        path.append(law.coefficient(state))
    return path


def _entropy(q: Tensor, temperature: float) -> float:
    # One allowed action has no entropy; the tabular tools want at least two.
    return float(entropy(softmax(q / temperature))) if len(q) > 1 else 0.0


@claim("classical", source="[55] van Remmerden, Bukhsh, Zhang 2025, arXiv 2409.10589 (authors' code read)")
def classical_masked_targets(quick: bool) -> Outcome:
    """The entropy target .98 log|A| sends the temperature to its clip wherever a mask leaves few actions; .98 log n(s)
    is met everywhere at a moderate temperature.
    """
    # Run dual ascent with 1, 2 and 5 of 20 actions allowed.
    rng = torch.Generator().manual_seed(0)
    steps = 2000 if quick else 6000
    full = 0.98 * math.log(20)
    figures: dict[str, float | str] = {}
    lines: list[Series] = []
    holds = True
    for allowed in (1, 2, 5):
        q = torch.randn(allowed, generator=rng, dtype=torch.float64)
        target = float(masked_target(torch.tensor(allowed)))
        plain, masked = dual_ascent(q, full, steps=steps), dual_ascent(q, target, steps=steps)
        missed = abs(_entropy(q, masked[-1]) - target)
        figures[f"{allowed} allowed, target .98 log 20: temperature"] = plain[-1]
        figures[f"{allowed} allowed, target .98 log {allowed}: temperature"] = masked[-1]
        figures[f"{allowed} allowed, target .98 log {allowed}: entropy misses it by"] = missed
        holds = holds and plain[-1] > 1e8 and masked[-1] < 100 and missed < 1e-2
        shown = range(0, steps, steps // 40)
        for count, path in ((20, plain), (allowed, masked)):
            name = f"{allowed} allowed, .98 log {count}"
            lines.append(Series(name=name, x=shown, y=[path[k] for k in shown]))
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures=figures,
        seeds=(0,),
        plots=(
            Plot(
                title="Temperature under a reachable and an unreachable target",
                x_label="step of dual ascent",
                y_label="temperature (clipped at e^20)",
                series=tuple(lines),
                log_y=True,
            ),
        ),
        remarks="Values of the actions are normally distributed; the temperature is the library's `Dual` controller.",
    )
