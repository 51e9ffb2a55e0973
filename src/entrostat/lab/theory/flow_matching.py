"""ADRPO for flow matching, and the claim that its loss pushes the flow away from bad samples.

Letters: N points, K possible samples x_1. Paths are straight: x_t = (1 - t) x_0 + t x_1 with a normal x_0.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from entrostat.errors import sentence
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.losses import advantage_coefficient


def advantage_flow_matching(
    velocity: Tensor, target: Tensor, reference: Tensor, advantages: Tensor, *, beta: float, scale: float = 1.0,
    low: float | None = None, high: float | None = None, floor: float = 0.0,
) -> Tensor:  # fmt: skip
    """ADRPO for a flow-matching model: match good samples, avoid bad ones, and stay near the reference accordingly.

        loss = A ||v - u||^2 + beta_eff ||v - v_ref||^2          A = R(x_1, c) - mean reward of the condition c

    `u` is the flow's target velocity, `beta_eff` as in `advantage_coefficient`. The advantage enters both terms, so a
    bad sample pushes the velocity away. While no bound binds, the two coefficients add up to `beta`: the loss is a bowl
    of that curvature around `v_ref + (A / beta) (u - v_ref)` whatever the sign of `A`.

    Args:
        velocity: `[B, ...]`, the model's, with gradient.
        target: `[B, ...]`, `u`; taken without gradient.
        reference: `[B, ...]`, the frozen model's velocity; taken without gradient.
        advantages: `[B]`; taken without gradient.
        beta: coefficient of the distance to the reference at advantage 0.
        scale: of the advantage in `beta_eff`. At 0 the coefficient is fixed, and with weights in the place of
            advantages this is the loss of reward weighting.
        low: least advantage that counts in `beta_eff`; None for no bound.
        high: greatest advantage that counts in `beta_eff`; None for no bound.
        floor: least `beta_eff`, at most 0.

    Returns:
        `[B]`, the loss of each sample: squared norms, summed over all but the first dimension.

    Raises:
        ValueError: shapes that differ, or a setting that `advantage_coefficient` rejects.

    Reference:
        Fan et al., ADRPO, arXiv 2510.18053 (the W2 form, as a post of its author writes it).

    Example:
        >>> v, u, ref = torch.tensor([[1.0]]), torch.tensor([[3.0]]), torch.tensor([[0.0]])
        >>> float(advantage_flow_matching(v, u, ref, torch.tensor([0.5]), beta=1.0))  # 0.5 * 4 + 0.5 * 1
        2.5
    """
    expected = {"target": (target, velocity.shape), "reference": (reference, velocity.shape)}
    for name, (value, shape) in {**expected, "advantages": (advantages, velocity.shape[:1])}.items():
        if value.shape != shape:
            raise ValueError(sentence(name, f"have the shape {tuple(shape)}", tuple(value.shape)))
    beta_eff = advantage_coefficient(advantages, beta=beta, scale=scale, low=low, high=high, floor=floor)
    squares = [(velocity - other.detach()).flatten(1).square().sum(-1) for other in (target, reference)]
    return advantages.detach() * squares[0] + beta_eff * squares[1]


# The expected loss of a point x at time t is a bowl in the velocity v, so its lowest point is found exactly:
#
#     v* = v_ref + E[ A (u - v_ref) | x_t = x ] / beta              while no bound binds
#
# The weights of reward weighting are positive, so each sample attracts; where A < 0 it repels. Which of them wins at a
# point that good and bad samples share is not clear beforehand, and neither is where the whole flow ends.

POINTS = torch.linspace(-3, 3, 61, dtype=torch.float64)
BETAS = (1.0, 2.0, 4.0, 8.0)
SHARPNESS = (1.0, 3.0, 6.0)


def _bump(centre: float, width: float) -> Tensor:
    return (-(POINTS - centre).square() / (2 * width**2)).softmax(-1)


REFERENCE = _bump(0.0, 1.0)
SAMPLES = 0.9 * _bump(-2.0, 0.3) + 0.1 * _bump(2.0, 0.3)
REWARDS = (POINTS > 0).double()
ADVANTAGES = REWARDS - SAMPLES @ REWARDS


def best_velocity(
    chances: Tensor, targets: Tensor, reference: Tensor, weights: Tensor, *, beta: float, scale: float = 1.0
) -> Tensor:
    """Return the velocity `[N]` of least expected loss, given `chances [N, K]` of the samples at each point.

    `weights [K]` are the advantages, or other weights with `scale=0`.
    """

    def slope(velocity: Tensor) -> Tensor:
        v, u, ref = (
            value.expand_as(targets).reshape(-1, 1) for value in (velocity[:, None], targets, reference[:, None])
        )
        loss = advantage_flow_matching(v, u, ref, weights.repeat(len(targets)), beta=beta, scale=scale)
        return torch.autograd.grad(loss @ chances.flatten(), velocity)[0]

    # The slope is linear in the velocity: one Newton step is exact.
    here, further = (slope((reference + step).requires_grad_()) for step in (0, 1))
    return reference - here / (further - here)


def flow(weights: Tensor | None, *, steps: int, size: int, beta: float = 1.0, scale: float = 1.0) -> Tensor:
    """Return `size` samples of the flow of least loss, or of the reference if there are no weights; Heun's method."""
    quantiles = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    x = torch.special.ndtri(quantiles)  # of the normal x_0

    def velocity(x: Tensor, t: float) -> Tensor:
        targets = (POINTS - x.unsqueeze(-1)) / (1 - t)
        distance = (x.unsqueeze(-1) - t * POINTS).square() / (2 * (1 - t) ** 2)
        reference = ((REFERENCE.log() - distance).softmax(-1) * targets).sum(-1)
        if weights is None:
            return reference
        return best_velocity(
            (SAMPLES.log() - distance).softmax(-1), targets, reference, weights, beta=beta, scale=scale
        )

    for step in range(steps):
        first = velocity(x, step / steps)
        # The velocity at t = 1 is not defined: the last step is Euler's.
        second = first if step == steps - 1 else velocity(x + first / steps, (step + 1) / steps)
        x = x + (first + second) / (2 * steps)
    return x


@claim(
    "theory", source="Fan et al., ADRPO, arXiv 2510.18053 (the loss as a post of its author writes it; setting ours)"
)
def adrpo_flow_matching(quick: bool) -> Outcome:
    """ADRPO's loss for flow matching pushes the flow away from bad samples: even where nine samples in ten are bad, it
    ends with less mass near them than the reference and more reward, the more so the smaller beta is; the same samples
    weighted by exp(reward) draw it towards them.
    """
    # Follow the flow of least loss for several coefficients.
    grid = {"steps": 20, "size": 200} if quick else {"steps": 60, "size": 500}
    reference = flow(None, **grid)
    laws = {"ADRPO": (ADVANTAGES, 1.0)}
    laws |= {f"weights exp({tau:g} reward)": ((tau * REWARDS).exp(), 0.0) for tau in SHARPNESS}
    near = {"reference": [float((reference < -1).double().mean())] * len(BETAS)}
    reward = {"reference": [float((reference > 0).double().mean())] * len(BETAS)}
    figures: dict[str, float | str] = {"reference: share near the bad samples": near["reference"][0]}
    for name, (weights, scale) in laws.items():
        runs = [flow(weights, beta=beta, scale=scale, **grid) for beta in BETAS]
        near[name] = [float((x < -1).double().mean()) for x in runs]
        reward[name] = [float((x > 0).double().mean()) for x in runs]
        for beta, share, mean in zip(BETAS, near[name], reward[name], strict=True):
            figures[f"{name}, beta {beta:g}: share near the bad samples"] = share
            figures[f"{name}, beta {beta:g}: mean reward"] = mean
    # From the reference on, each smaller beta must lead further away from the bad samples, and to more reward.
    away, earned = ([found["reference"][0], *reversed(found["ADRPO"])] for found in (near, reward))
    pushed = all(b < a for a, b in itertools.pairwise(away)) and all(b > a for a, b in itertools.pairwise(earned))
    drawn = min(near["weights exp(1 reward)"]) > near["reference"][0]
    return Outcome(
        verdict="holds" if pushed and drawn else "does not hold",
        figures=figures,
        plots=(
            Plot(
                title="Nine samples in ten are bad: the mass that a flow ends with near them",
                x_label="coefficient of the distance to the reference, beta",
                y_label="share of the flow's samples below -1",
                series=tuple(Series(name=n, x=BETAS, y=y, reference=n == "reference") for n, y in near.items()),
                log_x=True,
            ),
        ),
        remarks=(
            "One dimension, exact minimiser at every point: 90 % of the samples are near -2 (reward 0), 10 % near 2 "
            "(reward 1); the reference is a standard normal. A weighting sharp enough (exp(6 reward)) avoids the bad "
            "samples as well, by not counting them. Which method has more reward at the same distance from the "
            "reference is not tested."
        ),
    )
