"""Curiosity reward: a bonus for responses the policy finds unlikely, capped by the reward itself (CDE's actor part)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.edits._responses import response_mean, spread, z_scores
from entrostat.errors import require, require_finite, sentence


@dataclass(frozen=True, kw_only=True)
class CuriosityReward:
    """A rollout edit: add a capped bonus to the reward, and form the group advantages anew.

        B_b  = -(1/T_b) sum_t log pi(y_{b,t})                          of the policy that wrote the response
        R'_b = R_b + w min(|R_b| / kappa, alpha B_b)
        A_b  = (R'_b - mean) / (std + 1e-4)                            over the response's group, all ranks

    `w` is a staircase over the run. With `kappa > 1` and `w <= 1` no reward turns its sign. A reward of 0 has a cap of
    0: where wrong answers earn 0, they get no bonus, so rewards should be -1 and 1.

    Args:
        alpha: bonus per nat of mean surprisal; 0 is neutral.
        kappa: how many times smaller than the reward the bonus stays; above 1.
        stairs: pairs (share of the run, w): from that share of its steps on the bonus weighs w. Before the run's
            length is known, the first pair holds.
        zero_one: turn rewards of 0 and 1 into -1 and 1 first.

    Raises:
        ValueError: a negative `alpha`, a `kappa` that is not above 1, stairs that do not rise from 0 in time.

    Reference:
        Dai et al., "CDE: Curiosity-Driven Exploration", arXiv 2509.09675.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 1)
        >>> batch = TokenBatch(logprobs=torch.tensor([[-9.0], [-0.1]]), old_logprobs=ones, advantages=ones, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    rewards=torch.tensor([1.0, 1.0]), group_ids=torch.tensor([0, 0]))
        >>> CuriosityReward(alpha=1.0, kappa=3.0).rewards(batch)
        tensor([1.3333, 1.1000], dtype=torch.float64)
    """

    alpha: float
    kappa: float
    stairs: Sequence[Sequence[float]] = ((0.0, 1.0),)
    zero_one: bool = False
    sets: ClassVar[frozenset[str]] = frozenset({"advantages"})

    def __post_init__(self) -> None:
        require(require_finite("alpha", self.alpha) >= 0, "alpha", "be at least 0", self.alpha)
        require(require_finite("kappa", self.kappa) > 1, "kappa", "be above 1", self.kappa)
        object.__setattr__(self, "stairs", tuple(tuple(stair) for stair in self.stairs))
        starts = [stair[0] for stair in self.stairs if len(stair) == 2 and stair[1] >= 0]
        rising = len(starts) == len(self.stairs) and starts[:1] == [0] and starts == sorted(set(starts))
        if not rising:
            rule = "be pairs (share of the run, weight of at least 0), the shares rising from 0"
            raise ValueError(sentence("stairs", rule, self.stairs))

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the advantages of the raised rewards."""
        if self.alpha == 0:
            return batch
        return batch.replace(advantages=spread(batch, z_scores(batch, self.rewards(batch))))

    def rewards(self, batch: TokenBatch) -> torch.Tensor:
        """Return the rewards `[B]` with the bonus."""
        rewards = batch.given("rewards").double()
        rewards = 2 * rewards - 1 if self.zero_one else rewards
        surprise = response_mean(batch, -batch.logprobs)
        bonus = torch.minimum(rewards.abs() / self.kappa, self.alpha * surprise)
        return rewards + self.weight(batch.step, batch.total_steps) * bonus

    def weight(self, step: int, total_steps: int | None) -> float:
        """Return the bonus's weight at this step."""
        done = step / total_steps if total_steps else 0.0
        return [weight for start, weight in self.stairs if start <= done][-1]
