"""Entropy-regularised natural actor-critic: decay the preferences towards their start while adding the critic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import MDP, dense_mdp, evaluate, occupancy, soft_value_iteration
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
    """The record of a run on an MDP."""

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
        noise: maps Q to the values that the actor sees.
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


# [56] Averaging steps make the policy a softmax of the average critic: fast, never near-deterministic, noise-proof.

TEMPERATURE = 0.1
NOISE = 0.5
LAWS = {
    "averaging": NaturalActorCritic(temperature=TEMPERATURE),
    "constant": NaturalActorCritic(temperature=TEMPERATURE, averaging=False, step=0.5 / TEMPERATURE),
    "no entropy": NaturalActorCritic(temperature=0.0, averaging=False, step=5.0),
}


def random_mdp(seed: int) -> MDP:
    """Return 8 states, 4 actions, rewards in [0, 1], discount 0.9, few likely successors."""
    rng = torch.Generator().manual_seed(seed)
    # The square of a Gaussian has the law of a Gamma(1/2): normalised, a Dirichlet(1/2).
    weights = torch.randn(8, 4, 8, generator=rng, dtype=torch.float64).square()
    rewards = torch.rand(8, 4, generator=rng, dtype=torch.float64)
    return dense_mdp(rewards=rewards, transitions=weights / weights.sum(-1, keepdim=True), discount=0.9)


def exact_gaps(name: str, seed: int, *, iterations: int) -> Tensor:
    """Return `[iterations]`: the largest shortfall of any state's value, with an exact critic."""
    mdp = random_mdp(seed)
    best = soft_value_iteration(mdp, coef=TEMPERATURE).values
    return (best - run_natural_actor_critic(mdp, LAWS[name], iterations=iterations).values).amax(-1)


def averaging_error(seed: int, *, iterations: int) -> float:
    """Return how far the preferences are from the average critic over the temperature."""
    run = run_natural_actor_critic(random_mdp(seed), LAWS["averaging"], iterations=iterations)
    return float((run.preferences - run.mean_critic / TEMPERATURE).abs().max())


def noisy(name: str, seed: int, *, iterations: int) -> tuple[float, float]:
    """Return the mean shortfall over the last sixth of a run with a noisy critic, and its least probability."""
    mdp = random_mdp(seed)
    rng = torch.Generator().manual_seed(seed)

    def noise(q: Tensor) -> Tensor:
        return q + NOISE * torch.randn(q.shape, generator=rng, dtype=q.dtype)

    run = run_natural_actor_critic(mdp, LAWS[name], iterations=iterations, judged_by=TEMPERATURE, noise=noise)
    gaps = (soft_value_iteration(mdp, coef=TEMPERATURE).values - run.values).amax(-1)
    return float(gaps[-iterations // 6 :].mean()), run.least_probability


@claim(
    "classical",
    source="[56] Cayci, He, Srikant 2024, arXiv 2206.00833 (abstract only; updates from memory, tabular form derived)",
)
def classical_natural_actor_critic(quick: bool) -> Outcome:
    """With steps 1/(lambda (t+1)) the policy is the softmax of the average critic over lambda: it converges faster than
    1/t, keeps every action's probability up, and stands a noisy critic that ruins constant steps.
    """
    # Run it with an exact and with a noisy critic.
    seeds = tuple(range(1 if quick else 2))
    iterations = 240 if quick else 2000
    gaps = torch.stack([exact_gaps("averaging", s, iterations=iterations // 2) for s in seeds]).amax(0).tolist()
    constant = max(float(exact_gaps("constant", s, iterations=41)[-1]) for s in seeds)
    error = max(averaging_error(s, iterations=200) for s in seeds)
    runs = {name: [noisy(name, s, iterations=iterations) for s in seeds] for name in LAWS}
    tail = {name: sum(gap for gap, _ in r) / len(r) for name, r in runs.items()}
    least = {name: min(p for _, p in r) for name, r in runs.items()}
    last = len(gaps)
    rate = math.log10(gaps[9] / gaps[min(last, 100) - 1]) / math.log10(min(last, 100) / 10)
    calm = tail["averaging"] < 0.1 * tail["constant"] and tail["averaging"] < tail["no entropy"]
    exact = error < 1e-10 and constant < 1e-10 and rate > 1
    times = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= last]
    return Outcome(
        verdict="holds" if exact and calm and least["averaging"] > 1e-40 else "does not hold",
        figures={
            **{f"averaging, exact critic: gap after {t} steps": gaps[t - 1] for t in (1, 10, 100, 1000) if t <= last},
            "power of 1/t between 10 and 100 steps": rate,
            "preferences minus average critic over lambda": error,
            "constant step, exact critic: gap after 40 steps": constant,
            **{f"noisy critic, {name}: gap": gap for name, gap in tail.items()},
            **{f"noisy critic, {name}: least probability": p for name, p in least.items()},
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Averaging natural actor-critic, exact critic",
                x_label="step",
                y_label="largest gap of a regularised value",
                series=(Series(name="averaging steps", x=times, y=[gaps[t - 1] for t in times]),),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks=(
            "lambda = 0.1; the noise added to Q has standard deviation 0.5. Tabular form, exact evaluation: the "
            "paper's neural width and sample bounds are not tested."
        ),
    )


# [56] The neural natural actor-critic comes as close to the soft optimum as its width lets it.


class NeuralRun(NamedTuple):
    """The record of a run."""

    gaps: list[float]
    """Largest gap of a regularised value before each step."""
    least_probability: float
    longest: float
    """Largest norm of a direction."""


def run(width: int, seed: int, *, iterations: int) -> NeuralRun:
    """Run averaging steps on a random MDP whose state-action pairs have random unit features in 16 dimensions."""
    mdp, rng = random_mdp(seed), torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(8, 4, 16, generator=rng, dtype=torch.float64), dim=-1)
    actor = neural_actor(16, width=width, generator=rng)
    law = NaturalActorCritic(temperature=TEMPERATURE)
    best = soft_value_iteration(mdp, coef=TEMPERATURE, tolerance=1e-9).values
    gaps: list[float] = []
    least, longest = 1.0, 0.0
    for t in range(iterations):
        weights = actor.weights.clone().requires_grad_()
        preferences = neural_preferences(actor._replace(weights=weights), features)
        (slopes,) = torch.autograd.grad(
            preferences.flatten(), weights, torch.eye(preferences.numel(), dtype=torch.float64), is_grads_batched=True
        )
        policy = softmax(preferences.detach())
        least = min(least, float(policy.min()))
        critic = evaluate(mdp, policy, coef=TEMPERATURE)
        gaps.append(float((best - critic.values).max()))
        direction = _direction(policy, slopes.reshape(8, 4, -1), critic.q, occupancy(mdp, policy))
        longest = max(longest, float(direction.norm()))
        actor = neural_step(actor, direction, rate=law.rate(t), temperature=TEMPERATURE)
    return NeuralRun(gaps, least, longest)


def _direction(policy: Tensor, slopes: Tensor, q: Tensor, visits: Tensor) -> Tensor:
    # The score is the gradient of log pi: that of the preference, centred by the policy.
    scores = slopes - (policy.unsqueeze(-1) * slopes).sum(1, keepdim=True)
    advantages = q - (policy * q).sum(-1, keepdim=True)
    weights = policy * (visits / visits.sum()).unsqueeze(-1)
    return natural_direction(scores.flatten(0, 1), advantages.flatten(), weights.flatten(), radius=1000.0)


@claim("classical", source="[56] Cayci, He, Srikant 2024, arXiv 2206.00833 (abstract only; updates from memory)")
def classical_neural_actor_critic(quick: bool) -> Outcome:
    """With a two-layer ReLU actor the averaging natural actor-critic approaches the soft optimum up to an error that
    falls with the width, and stays far from deterministic.
    """
    # Widen the network.
    seeds = tuple(range(1 if quick else 3))
    widths = [16, 128] if quick else [16, 64, 256]
    iterations = 12 if quick else 40
    runs = {width: [run(width, s, iterations=iterations) for s in seeds] for width in widths}
    final = {width: sum(r.gaps[-1] for r in rs) / len(rs) for width, rs in runs.items()}
    gaps = list(final.values())
    falls = all(b < 0.5 * a for a, b in itertools.pairwise(gaps))
    least = min(r.least_probability for rs in runs.values() for r in rs)
    lines = tuple(
        Series(
            name=f"width {w}",
            x=range(1, iterations + 1),
            y=[sum(k) / len(k) for k in zip(*(r.gaps for r in rs), strict=True)],
        )
        for w, rs in runs.items()
    )
    return Outcome(
        verdict="holds" if falls and least > 1e-12 else "does not hold",
        figures={
            "gap before the first step": runs[widths[0]][0].gaps[0],
            **{f"gap at the end, width {w}": g for w, g in final.items()},
            "least probability of any policy": least,
            "longest direction (the clip is at 1000)": max(r.longest for rs in runs.values() for r in rs),
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Neural natural actor-critic",
                x_label="step",
                y_label="largest gap of a regularised value",
                series=lines,
                log_x=True,
                log_y=True,
            ),
        ),
        remarks=(
            "Exact critic, exact least squares for the natural direction (the paper samples both); the first layer is "
            "trained, signs are fixed, the network starts at 0."
        ),
    )
