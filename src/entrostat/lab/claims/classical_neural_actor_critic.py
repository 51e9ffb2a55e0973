"""[56] The neural natural actor-critic comes as close to the soft optimum as its width lets it."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.lab import MDP, Claim, Outcome, Plot, Series, evaluate, main, occupancy, soft_value_iteration, softmax
from entrostat.lab.claims.classical_natural_actor_critic import random_mdp
from entrostat.lab.classical import (
    NaturalActorCritic,
    NeuralActor,
    natural_direction,
    neural_actor,
    neural_preferences,
    neural_step,
)

TEMPERATURE = 0.1
RADIUS = 1000.0


class NeuralRun(NamedTuple):
    """What a run went through."""

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
        preferences, slopes = _with_slopes(actor, features)
        policy = softmax(preferences)
        least = min(least, float(policy.min()))
        gap, direction = _direction(mdp, policy, slopes, best)
        gaps.append(gap)
        longest = max(longest, float(direction.norm()))
        actor = neural_step(actor, direction, rate=law.rate(t), temperature=TEMPERATURE)
    return NeuralRun(gaps, least, longest)


def _with_slopes(actor: NeuralActor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the preferences `[S, A]` and their gradients `[S, A, P]`."""
    weights = actor.weights.clone().requires_grad_()
    preferences = neural_preferences(actor._replace(weights=weights), features)
    seeds = torch.eye(preferences.numel(), dtype=torch.float64)
    (slopes,) = torch.autograd.grad(preferences.flatten(), weights, seeds, is_grads_batched=True)
    return preferences.detach(), slopes.reshape(*preferences.shape, -1)


def _direction(mdp: MDP, policy: Tensor, slopes: Tensor, best: Tensor) -> tuple[float, Tensor]:
    critic = evaluate(mdp, policy, coef=TEMPERATURE)
    scores = slopes - (policy.unsqueeze(-1) * slopes).sum(1, keepdim=True)
    advantages = critic.q - (policy * critic.q).sum(-1, keepdim=True)
    visits = occupancy(mdp, policy)
    weights = policy * (visits / visits.sum()).unsqueeze(-1)
    direction = natural_direction(scores.flatten(0, 1), advantages.flatten(), weights.flatten(), radius=RADIUS)
    return float((best - critic.values).max()), direction


def check(quick: bool) -> Outcome:
    """Widen the network."""
    seeds = tuple(range(1 if quick else 3))
    widths = [16, 128] if quick else [16, 64, 256]
    iterations = 12 if quick else 40
    runs = {width: [run(width, s, iterations=iterations) for s in seeds] for width in widths}
    final = {width: sum(r.gaps[-1] for r in rs) / len(rs) for width, rs in runs.items()}
    gaps = list(final.values())
    falls = all(b < 0.5 * a for a, b in itertools.pairwise(gaps))
    least = min(r.least_probability for rs in runs.values() for r in rs)
    steps = [float(k + 1) for k in range(iterations)]
    lines = tuple(
        Series(name=f"width {w}", x=steps, y=[sum(r.gaps[k] for r in rs) / len(rs) for k in range(iterations)])
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


CLAIM = Claim(
    name="classical_neural_actor_critic",
    statement=(
        "With a two-layer ReLU actor the averaging natural actor-critic approaches the soft optimum up to an error "
        "that falls with the width, and stays far from deterministic."
    ),
    source="[56] Cayci, He, Srikant 2024, arXiv 2206.00833 (abstract only; updates from memory)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
