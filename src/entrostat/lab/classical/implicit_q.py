"""Implicit Q-values (Munchausen): the scaled log-policy is the advantage, and one loss trains policy and value."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import MDP, soft_value_iteration
from entrostat.lab._policy import log_softmax
from entrostat.lab.classical.natural_actor_critic import random_mdp


# Q(s,a) = tau log pi(a|s) + V(s).  Regressing it on  Y = r + alpha tau log pi_old + discount E V_old  for all actions
# gives  V = tau logsumexp(Y/tau),  log pi = (Y - V)/tau: value iteration regularised by entropy, weight (1-alpha) tau,
# and KL to the last policy, weight alpha tau. Summed over iterations the alpha terms leave, at the fixed point,
#     pi = softmax(Q* / ((1-alpha) tau)),   the optimum of entropy alone at temperature (1-alpha) tau.
class ImplicitQ(NamedTuple):
    """The fixed point of implicit Q-iteration."""

    logprobs: Tensor
    """`[S, A]` of the policy."""
    values: Tensor
    """`[S]`."""
    changes: Tensor
    """`[iterations]`, the largest change of any probability in each."""


def implicit_q_iteration(mdp: MDP, *, temperature: float, munchausen: float, iterations: int = 600) -> ImplicitQ:
    """Iterate the exact regression of `tau log pi + V` on the Munchausen target.

    Args:
        mdp: the problem; discounted.
        temperature: tau, positive: entropy and KL weights together.
        munchausen: alpha in [0, 1), the KL's share; 0 is soft value iteration.
        iterations: how many regressions.

    Raises:
        ValueError: a setting outside its range.

    Reference:
        Vieillard et al., "Implicitly regularized RL with implicit Q-values", arXiv 2108.07041; Vieillard, Pietquin,
        Geist, "Munchausen reinforcement learning", 2020.

    Example:
        >>> from entrostat.lab import END, make_mdp
        >>> bandit = make_mdp(rewards=torch.tensor([[1.0, 0.0]]), successors=torch.tensor([[END, END]]))
        >>> found = implicit_q_iteration(bandit, temperature=1.0, munchausen=0.5)
        >>> round(float(found.logprobs[0, 0] - found.logprobs[0, 1]), 6)  # (1 - 0) / (0.5 * 1)
        2.0
    """
    _check(temperature, munchausen)
    require_count("iterations", iterations, least=1)
    logprobs = log_softmax(torch.zeros_like(mdp.rewards), mdp.mask)
    values = torch.zeros(mdp.states, dtype=torch.float64)
    changes: list[Tensor] = []
    for _ in range(iterations):
        target = mdp.rewards + munchausen * temperature * logprobs + mdp.discount * mdp.ahead(values)
        target = target.masked_fill(~mdp.mask, -torch.inf)
        values = temperature * (target / temperature).logsumexp(-1)
        fresh = (target - values.unsqueeze(-1)) / temperature
        changes.append((fresh.exp() - logprobs.exp()).abs().max())
        logprobs = fresh
    return ImplicitQ(logprobs, values, torch.stack(changes))


def implicit_q_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    values: Tensor,
    next_values: Tensor,
    rewards: Tensor,
    mask: Tensor,
    *,
    temperature: float,
    munchausen: float,
    discount: float = 1.0,
    floor: float = -1.0,
) -> Tensor:
    """The one loss, per token of sampled sequences: no critic over the vocabulary, no separate actor loss.

        ( r + alpha max(tau log pi_old, floor) + discount V_old(s') - tau log pi - V(s) )^2

    Args:
        logprobs: `[B, T]` of the sampled tokens, with gradient.
        old_logprobs: `[B, T]` of the target policy.
        values: `[B, T]` V before each token, with gradient.
        next_values: `[B, T]` target V after each token; 0 after the last.
        rewards: `[B, T]`, for outcome rewards 0 but at the last token.
        mask: `[B, T]`, nonzero at the sequence's own tokens.
        temperature: tau, positive.
        munchausen: alpha in [0, 1].
        discount: of the next value.
        floor: least scaled old log-policy; without it a nearly impossible token would dominate the batch.

    Returns:
        `[B, T]`, 0 where masked.

    Raises:
        ValueError: shapes differ, or a setting outside its range.

    Reference:
        Vieillard et al., arXiv 2108.07041 (loss from memory; the clipping is Munchausen-DQN's).

    Example:
        >>> one = torch.ones(1, 1)
        >>> loss = implicit_q_loss(-one, -one, 0 * one, 0 * one, one, one, temperature=0.5, munchausen=0.0)
        >>> float(loss)  # (1 + 0.5)^2
        2.25
    """
    _check(temperature, munchausen, most=1.0)
    tensors = {"old_logprobs": old_logprobs, "values": values, "next_values": next_values, "rewards": rewards}
    for name, tensor in {**tensors, "mask": mask}.items():
        rule = f"have the shape of `logprobs`, {tuple(logprobs.shape)}"
        require(tensor.shape == logprobs.shape, name, rule, tuple(tensor.shape))
    target = rewards + munchausen * (temperature * old_logprobs).clamp(min=floor) + discount * next_values
    kept = mask.bool()
    # Masked before squaring, so that a masked position has gradient 0 even if its value is NaN.
    gap = target.detach().where(kept, 0) - (temperature * logprobs).where(kept, 0) - values.where(kept, 0)
    return gap.square()


def _check(temperature: float, munchausen: float, *, most: float | None = None) -> None:
    require(require_finite("temperature", temperature) > 0, "temperature", "be positive", temperature)
    require_finite("munchausen", munchausen)
    if most is None:
        remedy = "At 1 nothing but the KL is left, and the policy becomes deterministic."
        require(0 <= munchausen < 1, "munchausen", "lie in [0, 1)", munchausen, remedy)
    else:
        require(0 <= munchausen <= most, "munchausen", "lie in [0, 1]", munchausen)


# [57] Implicit Q-values: entropy and KL together end where entropy alone ends, at temperature (1 - alpha) tau.

TEMPERATURE = 0.1


def distance(munchausen: float, seed: int) -> float:
    """Return the largest difference of the fixed point's policy from the soft optimum at `(1 - alpha) tau`."""
    mdp = random_mdp(seed)
    found = implicit_q_iteration(mdp, temperature=TEMPERATURE, munchausen=munchausen)
    best = soft_value_iteration(mdp, coef=(1 - munchausen) * TEMPERATURE)
    return float((found.logprobs.exp() - best.policy).abs().max())


def loss_at_the_fixed_point(munchausen: float, seed: int) -> float:
    """Return the largest loss over all state-action pairs once iteration has converged, targets being its own."""
    mdp = random_mdp(seed)
    found = implicit_q_iteration(mdp, temperature=TEMPERATURE, munchausen=munchausen)
    values = found.values.unsqueeze(-1).expand_as(found.logprobs)
    loss = implicit_q_loss(
        found.logprobs,
        found.logprobs,
        values,
        mdp.ahead(found.values),
        mdp.rewards,
        torch.ones_like(values),
        temperature=TEMPERATURE,
        munchausen=munchausen,
        discount=mdp.discount,
        floor=-torch.inf,
    )
    return float(loss.max())


@claim(
    "classical",
    source="[57] Vieillard et al. 2022, arXiv 2108.07041 (opening only; loss from memory, equivalence derived)",
)
def classical_implicit_q(quick: bool) -> Outcome:
    """Regressing tau log pi + V on the Munchausen target converges to the optimum of entropy alone at temperature (1 -
    alpha) tau; alpha = 0 is soft value iteration.
    """
    # Compare fixed points on random MDPs of 8 states and 4 actions.
    seeds = tuple(range(1 if quick else 5))
    shares = (0.0, 0.5, 0.9)
    gap = {alpha: max(distance(alpha, s) for s in seeds) for alpha in shares}
    loss = max(loss_at_the_fixed_point(alpha, 0) for alpha in shares)
    changes = {a: implicit_q_iteration(random_mdp(0), temperature=TEMPERATURE, munchausen=a).changes for a in shares}
    steps = range(0, 400, 10)
    lines = tuple(
        Series(
            name=f"alpha = {a}", x=[float(k + 1) for k in steps if c[k] > 0], y=[float(c[k]) for k in steps if c[k] > 0]
        )
        for a, c in changes.items()
    )
    return Outcome(
        verdict="holds" if max(gap.values()) < 1e-9 and loss < 1e-18 else "does not hold",
        figures={
            **{f"largest policy difference at alpha = {a}": g for a, g in gap.items()},
            "largest loss at the fixed point": loss,
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Convergence of implicit Q-iteration",
                x_label="iteration",
                y_label="largest change of a probability",
                series=lines,
                log_y=True,
            ),
        ),
        remarks="tau = 0.1, exact regressions over all actions; sampling and clipping are left out here.",
    )
