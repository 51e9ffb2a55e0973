"""ADER: one entropy budget, shared among groups by how much entropy hurts or helps the return of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_finite

# w = softmax(c / T),   target_i <- xi target_i + (1 - xi) w_i sum_j target_j:   sum_i target_i never changes.
# Nothing in that keeps a target below log n_i, the most entropy group i can have: what is above goes to the others.


def entropy_sensitivity(rewards: Tensor, entropies: Tensor, group_ids: Tensor) -> Tensor:
    """How much the reward of a group's rollouts goes with their entropy: `Cov(R, H) / Var(H)` in each group.

    Args:
        rewards: `[B]`.
        entropies: `[B]`, of each rollout, nats.
        group_ids: `[B]` whole numbers from 0 on; every group below the largest number occurs.

    Returns:
        `[G]` float64, reward per nat; 0 for a group whose entropies do not vary.

    Raises:
        ValueError: shapes differ.

    Reference:
        Kim and Sung, "An adaptive entropy-regularization framework for multi-agent reinforcement learning", 2023: there
        the change of the reward value along a small step of entropy; here its estimate from rollouts.

    Example:
        >>> import torch
        >>> group = torch.zeros(3, dtype=torch.long)
        >>> entropy_sensitivity(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([3.0, 2.0, 1.0]), group).tolist()
        [-1.0]
    """
    shape = rewards.shape
    require(rewards.dim() == 1, "rewards", "have shape [B]", tuple(shape))
    for name, value in (("entropies", entropies), ("group_ids", group_ids)):
        require(value.shape == shape, name, f"have the shape of `rewards`, {tuple(shape)}", tuple(value.shape))
    reward, entropy = _centred(rewards, group_ids), _centred(entropies, group_ids)
    variance = _group_sum(entropy * entropy, group_ids)
    varied = variance > 1e-12
    return torch.where(varied, _group_sum(reward * entropy, group_ids) / variance.where(varied, 1), 0)


def _centred(values: Tensor, group_ids: Tensor) -> Tensor:
    values = values.double()
    size = _group_sum(torch.ones_like(values), group_ids)
    return values - (_group_sum(values, group_ids) / size)[group_ids]


def _group_sum(values: Tensor, group_ids: Tensor) -> Tensor:
    groups = int(group_ids.max()) + 1
    return torch.zeros(groups, dtype=torch.float64).scatter_add(0, group_ids, values.double())


class AderState(NamedTuple):
    """What the law carries: one number for each group."""

    targets: tuple[float, ...]
    """Entropy targets, nats."""
    coefs: tuple[float, ...]
    """Coefficients in force, positive."""


@dataclass(frozen=True, kw_only=True)
class Ader:
    """A fixed budget of entropy, shared adaptively over groups of prompts (or roles, token types, difficulty bins).

        w = softmax(sensitivity / T),     T = sharpness * max |sensitivity|
        target_i <- xi target_i + (1 - xi) w_i sum_j target_j           then capped at log n_i
        log coef_i <- log coef_i + rate (target_i - H_i)

    The authors divide by `0.1 max(-sensitivity)` instead, which turns negative, and the order around, when entropy
    helps every group; `max |sensitivity|` agrees with it where that is the largest, and never flips. The cap is
    ours too; what it cuts off is given to the groups that have room, so that the budget stays whole.

    Args:
        allowed: number of actions of each group, at least 2.
        ratio: first target as a share of `log n`.
        smoothing: xi in [0, 1).
        sharpness: temperature of the shares, relative to the largest sensitivity; positive.
        rate: of the coefficients, per nat and update.
        initial: first coefficient of every group.
        floor: least coefficient, positive.
        ceiling: greatest coefficient.

    Raises:
        ValueError: a setting outside its range.

    Reference:
        Kim and Sung, ICML 2023 (authors' code: xi 0.9, ratio 0.1, first log coefficient -3, bounds 1e-4 and 0.5).

    Example:
        >>> law = Ader(allowed=(5, 5), rate=0.1)
        >>> state = law.update(law.init(), sensitivity=[-0.8, -0.05], entropy=[0.3, 0.3])
        >>> state.targets[0] < state.targets[1], round(sum(state.targets) - sum(law.init().targets), 12)
        (True, 0.0)
    """

    allowed: tuple[int, ...]
    rate: float
    ratio: float = 0.1
    smoothing: float = 0.9
    sharpness: float = 0.1
    initial: float = math.exp(-3)
    floor: float = 1e-4
    ceiling: float = 0.5

    def __post_init__(self) -> None:
        fits = len(self.allowed) > 0 and min(self.allowed) >= 2
        require(fits, "allowed", "hold at least 2 actions for each group", self.allowed)
        require(0 < require_finite("ratio", self.ratio) <= 1, "ratio", "lie in (0, 1]", self.ratio)
        require(0 <= require_finite("smoothing", self.smoothing) < 1, "smoothing", "lie in [0, 1)", self.smoothing)
        require(require_finite("sharpness", self.sharpness) > 0, "sharpness", "be positive", self.sharpness)
        require(require_finite("rate", self.rate) >= 0, "rate", "be at least 0", self.rate)
        box = "satisfy 0 < floor <= initial <= ceiling"
        require(0 < self.floor <= self.initial <= self.ceiling, "initial", box, self.initial)

    @property
    def caps(self) -> tuple[float, ...]:
        """The most entropy each group can have, `log n`."""
        return tuple(math.log(n) for n in self.allowed)

    def init(self) -> AderState:
        """Return the first state: every group has the same share of its own maximum."""
        return AderState(tuple(self.ratio * cap for cap in self.caps), (self.initial,) * len(self.allowed))

    def shares(self, sensitivity: Sequence[float]) -> tuple[float, ...]:
        """Return the weights w that sum to 1; equal where nothing is sensitive."""
        self._check("sensitivity", sensitivity)
        scale = self.sharpness * max(abs(c) for c in sensitivity)
        if scale == 0:
            return (1 / len(self.allowed),) * len(self.allowed)
        top = max(sensitivity)
        raw = [math.exp((c - top) / scale) for c in sensitivity]
        return tuple(x / sum(raw) for x in raw)

    def update(self, state: AderState, *, sensitivity: Sequence[float], entropy: Sequence[float]) -> AderState:
        """Return the state after a window.

        Args:
            state: the last one.
            sensitivity: reward per nat of each group, as from `entropy_sensitivity`.
            entropy: measured entropy of each group, nats.

        Raises:
            ValueError: not one finite number for each group.
        """
        self._check("entropy", entropy)
        budget = sum(state.targets)
        pulled = [
            self.smoothing * target + (1 - self.smoothing) * share * budget
            for target, share in zip(state.targets, self.shares(sensitivity), strict=True)
        ]
        targets = _capped(pulled, self.caps)
        moved = (
            math.log(coef) + self.rate * (target - measured)
            for coef, target, measured in zip(state.coefs, targets, entropy, strict=True)
        )
        coefs = tuple(min(max(math.exp(min(x, 0.0)), self.floor), self.ceiling) for x in moved)
        return AderState(targets, coefs)

    def _check(self, name: str, values: Sequence[float]) -> None:
        fits = len(values) == len(self.allowed) and all(math.isfinite(v) for v in values)
        require(fits, name, f"hold one finite number for each of the {len(self.allowed)} groups", list(values))


def _capped(targets: Sequence[float], caps: Sequence[float]) -> tuple[float, ...]:
    """Cut targets at their caps and spread the excess over the room that is left, in proportion to it."""
    held = [min(target, cap) for target, cap in zip(targets, caps, strict=True)]
    excess = sum(targets) - sum(held)
    room = [cap - value for cap, value in zip(caps, held, strict=True)]
    if excess <= 0 or sum(room) == 0:
        return tuple(held)
    share = min(1.0, excess / sum(room))
    return tuple(value + share * free for value, free in zip(held, room, strict=True))
