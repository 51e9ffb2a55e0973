"""State-entropy regularisation: what it is robust to, and a nearest-neighbour bonus over a group of rollouts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._policy import entropy

# Duality: over reward losses D = r - r~ that the adversary may choose within  LSE(D / alpha) <= eps/alpha + log S,
#     min E_d[r - D] = E_d[r] + alpha (H(d) - log S) - eps,       attained at  D(s) = alpha log d(s) + alpha log S + eps
# The stationarity condition d = softmax(D / alpha) fixes D up to a constant; the constraint fixes that.


def robust_value(density: Tensor, rewards: Tensor, *, temperature: float, budget: float) -> Tensor:
    """Worst-case expected reward under the adversary that state entropy stands for.

        E_d[r] + alpha (H(d) - log S) - eps

    Args:
        density: `[S]`, normalised visits, positive.
        rewards: `[S]`, mean reward in each state.
        temperature: alpha, positive; towards 0 the adversary may change one state's reward only, towards infinity the
            mean reward.
        budget: eps, at least 0.

    Returns:
        A scalar.

    Raises:
        ValueError: a setting outside its range, or a density that is not one.

    Reference:
        Ashlag, Koren, Mutti, Derman, Bacon, Mannor, "State entropy regularization for robust reinforcement learning",
        arXiv 2506.07085.

    Example:
        >>> import torch
        >>> even = torch.full((4,), 0.25)
        >>> round(float(robust_value(even, torch.ones(4), temperature=0.5, budget=0.1)), 6)  # log S is all spent
        0.9
    """
    _check(density, rewards, temperature, budget)
    slack = entropy(density.double()) - math.log(len(density))
    return (density.double() * rewards).sum() + temperature * slack - budget


def worst_loss(density: Tensor, rewards: Tensor, *, temperature: float, budget: float) -> Tensor:
    """What the worst adversary takes off the reward in each state, `[S]`: `alpha (log d + log S) + eps`.

    Most where the policy is most often. The paper prints it without `alpha log S`, which is allowed but not the worst.
    """
    _check(density, rewards, temperature, budget)
    return temperature * (density.double().log() + math.log(len(density))) + budget


def loss_budget(loss: Tensor, *, temperature: float) -> Tensor:
    """What a loss `[..., S]` uses up of the adversary's budget: `alpha (LSE(loss / alpha) - log S)`; allowed up to eps.

    Example:
        >>> import torch
        >>> round(float(loss_budget(torch.full((5,), 0.3), temperature=0.7)), 6)
        0.3
    """
    return temperature * ((loss / temperature).logsumexp(-1) - math.log(loss.shape[-1]))


def _check(density: Tensor, rewards: Tensor, temperature: float, budget: float) -> None:
    require(require_finite("temperature", temperature) > 0, "temperature", "be positive", temperature)
    require(require_finite("budget", budget) >= 0, "budget", "be at least 0", budget)
    proper = density.dim() == 1 and bool((density > 0).all()) and abs(float(density.sum()) - 1) < 1e-6
    require(proper, "density", "be positive and sum to 1", float(density.min()))
    require(rewards.shape == density.shape, "rewards", f"have shape {tuple(density.shape)}", tuple(rewards.shape))


def knn_bonus(
    features: Tensor, group_ids: Tensor | None = None, *, neighbours: int = 5, standardise: bool = True
) -> Tensor:
    """Bonus of each rollout for how far it is from the others of its group: a particle estimate of state entropy.

        log(1 + mean distance to the k nearest others)

    Exact duplicates are no neighbours, or k copies of one answer would give the distance 0 to each other and hide how
    far the group reaches; a rollout whose others are all copies of itself gets 0. A single rollout has no neighbours:
    the bonus needs a group.

    Args:
        features: `[B, D]`, frozen features of each rollout, such as mean-pooled hidden states; no gradient is taken.
        group_ids: `[B]`, whose rollouts are compared with each other; None for one group.
        neighbours: k, at least 1; fewer where a group has fewer others.
        standardise: subtract the mean over all and divide by the standard deviation.

    Returns:
        `[B]` float64.

    Raises:
        ValueError: shapes do not fit, a feature that is not finite, or fewer than two rollouts.

    Reference:
        Ashlag et al., arXiv 2506.07085, appendix (their set of neighbours includes the point itself).

    Example:
        >>> import torch
        >>> features = torch.tensor([[0.0], [0.0], [1.0], [9.0]])
        >>> [round(b, 3) for b in knn_bonus(features, neighbours=1, standardise=False).tolist()]
        [0.693, 0.693, 0.693, 2.197]
    """
    require(features.dim() == 2, "features", "have shape [B, D]", tuple(features.shape))
    count = len(features)
    require(count >= 2, "features", "hold at least two rollouts", count, "One rollout has no neighbours.")
    require(bool(features.isfinite().all()), "features", "be finite", "NaN or infinity")
    groups = torch.zeros(count) if group_ids is None else group_ids
    require(groups.shape == (count,), "group_ids", f"have shape ({count},)", tuple(groups.shape))
    bonus = _mean_distance(features.detach().double(), groups, require_count("neighbours", neighbours, least=1)).log1p()
    return (bonus - bonus.mean()) / bonus.std().clamp(min=1e-8) if standardise else bonus


def _mean_distance(features: Tensor, groups: Tensor, neighbours: int) -> Tensor:
    distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    other = (groups.unsqueeze(-1) == groups) & (distance > 0)
    nearest = distance.masked_fill(~other, torch.inf).sort(-1).values[:, :neighbours]
    found = nearest.isfinite()
    return nearest.where(found, 0).sum(-1) / found.sum(-1).clamp(min=1)
