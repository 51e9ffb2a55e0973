"""Entropy-regularised natural actor-critic: decay the preferences towards their start while adding the critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._exact import evaluate
from entrostat.lab._mdp import MDP
from entrostat.lab._policy import softmax

# Natural step on theta, then decay to theta_0 = 0, for a tabular softmax policy pi = softmax(f):
#     f <- (1 - eta lambda) f + eta Q,      Q = r + discount E V_lambda
# With eta_t = 1 / (lambda (t+1)):   f_t = mean_{k<t} Q_k / lambda, the softmax of the AVERAGE critic. Hence
#     pi >= exp(-(max Q - min Q)/lambda) / |A|   for all t, and noise in the critic averages out.


@dataclass(frozen=True, kw_only=True)
class NaturalActorCritic:
    """The update of preferences, for any critic.

    Args:
        temperature: lambda, the coefficient of the entropy; 0 is the unregularised natural policy gradient.
        averaging: steps of `1 / (lambda (t + 1))`; else the constant `step`.
        step: constant step, below `1 / lambda`.

    Raises:
        ValueError: `temperature` negative, averaging without a temperature, or a step outside `(0, 1/lambda]`.

    Reference:
        Cayci, He, Srikant, "Finite-time analysis of entropy-regularized neural natural actor-critic algorithm",
        arXiv 2206.00833 (abstract; updates from memory).

    Example:
        >>> import torch
        >>> law = NaturalActorCritic(temperature=0.5)
        >>> law.update(torch.tensor([9.0, 9.0]), torch.tensor([1.0, 0.0]), iteration=0).tolist()  # forgets its start
        [2.0, 0.0]
    """

    temperature: float
    averaging: bool = True
    step: float | None = None

    def __post_init__(self) -> None:
        require(require_finite("temperature", self.temperature) >= 0, "temperature", "be at least 0", self.temperature)
        if self.averaging:
            remedy = "Averaging steps are 1 / (temperature (t + 1)); give a constant step instead."
            require(self.temperature > 0, "temperature", "be positive for averaging", self.temperature, remedy)
            require(self.step is None, "step", "be left out for averaging", self.step)
            return
        require(self.step is not None and self.step > 0, "step", "be positive without averaging", self.step)
        fits = self.step is not None and self.step * self.temperature <= 1
        require(fits, "step", "be at most 1 / temperature", self.step)

    def rate(self, iteration: int) -> float:
        """Return eta of this iteration, counted from 0."""
        if self.step is not None:
            return self.step
        return 1 / (self.temperature * (require_count("iteration", iteration) + 1))

    def update(self, preferences: Tensor, critic: Tensor, *, iteration: int) -> Tensor:
        """Return the preferences after one step; `critic` holds Q-values (or advantages) of the same shape."""
        rate = self.rate(iteration)
        return (1 - rate * self.temperature) * preferences + rate * critic


class NaturalRun(NamedTuple):
    """What a run on an MDP went through."""

    values: Tensor
    """`[iterations, S]`, exact regularised values of the policy before each step."""
    least_probability: float
    """The smallest probability any policy of the run gave to an action."""
    preferences: Tensor
    """`[S, A]`, at the end."""
    mean_critic: Tensor
    """`[S, A]`, the average of all critics."""


def run_natural_actor_critic(
    mdp: MDP,
    law: NaturalActorCritic,
    *,
    iterations: int,
    judged_by: float | None = None,
    noise: Callable[[Tensor], Tensor] | None = None,
) -> NaturalRun:
    """Run it with the exact critic, or with `noise` added to it.

    Args:
        mdp: the problem.
        law: the update.
        iterations: at least 1.
        judged_by: coefficient of the entropy in the reported values; the law's own if None.
        noise: is given Q and returns what the actor sees.
    """
    require_count("iterations", iterations, least=1)
    preferences = torch.zeros_like(mdp.rewards)
    total = torch.zeros_like(mdp.rewards)
    values: list[Tensor] = []
    least = 1.0
    for t in range(iterations):
        policy = softmax(preferences, mdp.mask)
        least = min(least, float(policy[mdp.mask].min()))
        critic = evaluate(mdp, policy, coef=law.temperature)
        same = judged_by is None or judged_by == law.temperature
        values.append(critic.values if same else evaluate(mdp, policy, coef=judged_by or 0.0).values)
        q = critic.q if noise is None else noise(critic.q)
        total = total + q
        preferences = law.update(preferences, q, iteration=t)
    return NaturalRun(torch.stack(values), least, preferences, total / iterations)


class NeuralActor(NamedTuple):
    """A two-layer ReLU network of preferences: trained weights, their start, and fixed output signs."""

    weights: Tensor
    """`[m, d]`."""
    start: Tensor
    """`[m, d]`."""
    signs: Tensor
    """`[m]`, +1 and -1 in pairs, so that the network is 0 at the start."""


def neural_actor(features: int, *, width: int, generator: torch.Generator) -> NeuralActor:
    """Return a symmetrically initialised network of `width` (even) hidden units.

    Example:
        >>> import torch
        >>> actor = neural_actor(3, width=8, generator=torch.Generator().manual_seed(0))
        >>> float(neural_preferences(actor, torch.ones(2, 3)).abs().max())
        0.0
    """
    require_count("features", features, least=1)
    require(require_count("width", width, least=2) % 2 == 0, "width", "be even", width)
    half = torch.randn(width // 2, features, generator=generator, dtype=torch.float64)
    signs = torch.ones(width // 2, dtype=torch.float64)
    weights = torch.cat([half, half])
    return NeuralActor(weights, weights, torch.cat([signs, -signs]))


def neural_preferences(actor: NeuralActor, features: Tensor) -> Tensor:
    """Return `f = (1/sqrt m) sum_i c_i relu(w_i . x)` for features `[..., d]`."""
    hidden = (features.double() @ actor.weights.T).relu()
    return hidden @ actor.signs / len(actor.signs) ** 0.5


def natural_direction(scores: Tensor, advantages: Tensor, weights: Tensor, *, radius: float) -> Tensor:
    """Return the compatible direction `argmin_u E (u . score - advantage)^2`, projected on the ball of `radius`.

    Args:
        scores: `[N, P]` gradients of the log-policy.
        advantages: `[N]`.
        weights: `[N]`, how often each pair occurs, at least 0.
        radius: R, positive; the paper's clipping.

    Returns:
        `[P]`; of all minimisers the one of least norm. The paper finds it by averaged SGD on samples.
    """
    require(require_finite("radius", radius) > 0, "radius", "be positive", radius)
    root = weights.sqrt()
    rows = scores * root[:, None]
    # u = X' (X X')^+ y: with far fewer pairs than parameters, the small system is the cheap one.
    solution = rows.T @ (torch.linalg.pinv(rows @ rows.T, rtol=1e-12, hermitian=True) @ (advantages * root))
    return solution * min(1.0, radius / max(float(solution.norm()), 1e-300))


def neural_step(actor: NeuralActor, direction: Tensor, *, rate: float, temperature: float) -> NeuralActor:
    """Return `theta + eta u - eta lambda (theta - theta_0)`: a natural step and decay to the start."""
    weights = actor.weights + rate * direction.view_as(actor.weights)
    return actor._replace(weights=weights - rate * temperature * (actor.weights - actor.start))
