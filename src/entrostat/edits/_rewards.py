"""Edits of fresh rollouts that replace the advantages by those of another reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._base import leave_one_out, response_mean, response_sum, spread, with_tokens, z_scores
from entrostat.errors import require, require_finite, sentence, unknown_name


@dataclass(frozen=True, kw_only=True)
class CuriosityReward:
    """A rollout edit: add a capped bonus to the reward, and form the group advantages again.

        B_b  = -(1/T_b) sum_t log pi(y_{b,t})                          of the policy that wrote the response
        R'_b = R_b + w min(|R_b| / kappa, alpha B_b)
        A_b  = (R'_b - mean) / (std + 1e-4)                            over the response's group, all ranks

    `w` is a staircase over the run. With `kappa > 1` and `w <= 1` no reward turns its sign. A reward of 0 has a cap of
    0: where wrong answers earn 0, they get no bonus, so rewards should be -1 and 1.

    Args:
        alpha: bonus per nat of mean surprisal; 0 is neutral.
        kappa: how many times smaller than the reward the bonus stays; above 1.
        stairs: pairs (share of the run, w): from that share of its steps on the bonus has the weight w. Before the
            run's length is known, the first pair holds.
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
        # Lists, as a TOML file gives them, become tuples: a frozen edit has to be hashable.
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
        return rewards + self.weight(batch.step or 0, batch.total_steps) * bonus

    def weight(self, step: int, total_steps: int | None) -> float:
        """Return the bonus's weight at this step."""
        done = step / total_steps if total_steps else 0.0
        return [weight for start, weight in self.stairs if start <= done][-1]


Confidence = Literal["mean_entropy", "sum_entropy", "logprob"]
Baseline = Literal["z_score", "leave_one_out"]

_REWARDS: Mapping[str, Callable[[TokenBatch], Tensor]] = MappingProxyType(
    {
        "mean_entropy": lambda batch: -response_mean(batch, batch.given("old_entropy")),
        "sum_entropy": lambda batch: -response_sum(batch, batch.given("old_entropy")),
        "logprob": lambda batch: response_sum(batch, batch.logprobs),
    }
)
_BASELINES = MappingProxyType({"z_score": z_scores, "leave_one_out": leave_one_out})


@dataclass(frozen=True, kw_only=True)
class SelfReward:
    """A rollout edit: replace the advantages by those of a reward that needs no label.

        R_b = -(1/T_b) sum_t H_{b,t}     "mean_entropy"
            = -sum_t H_{b,t}             "sum_entropy"
            = sum_t log pi(y_{b,t})      "logprob"
        A_b = (R_b - mean) / (std + 1e-4)            "z_score", over the response's group
            = R_b - mean of the group's others       "leave_one_out"

    H and pi are those of the policy that wrote the responses. The two sums grow with the length, so longer responses
    earn less. Groups are taken over all ranks; responses without a token have no say.

    Args:
        reward: which of the three.
        baseline: which of the two.

    Raises:
        ValueError: an unknown reward or baseline.

    Reference:
        Prabhudesai et al., arXiv 2505.22660 (mean entropy, z-score); Agarwal et al., arXiv 2505.15134 (the sums,
        leave one out).

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 1)
        >>> batch = TokenBatch(logprobs=torch.tensor([[-1.0], [-3.0]]), old_logprobs=ones, advantages=ones, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    group_ids=torch.tensor([0, 0]))
        >>> SelfReward(reward="logprob", baseline="leave_one_out")(batch).advantages.flatten()
        tensor([ 2., -2.])
    """

    reward: Confidence
    baseline: Baseline
    sets: ClassVar[frozenset[str]] = frozenset({"advantages"})

    def __post_init__(self) -> None:
        for name, value, known in (
            ("reward", self.reward, get_args(Confidence)), ("baseline", self.baseline, get_args(Baseline))
        ):  # fmt: skip
            if value not in known:
                raise unknown_name(name, value, known)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the advantages of the policy's confidence."""
        # A response without a token of its own says nothing of the policy: it has no say in the baseline.
        rewards = _REWARDS[self.reward](batch)
        return batch.replace(advantages=spread(batch, _BASELINES[self.baseline](batch, rewards, with_tokens(batch))))


@dataclass(frozen=True, kw_only=True)
class VerifiedAdvantage:
    """Recompute advantages in each prompt group from the responses whose reward is above a threshold.

        judged: responses with R > above            A_i = (R_i - mean R) / (std R + offset) over the group's judged
                                                    A_i = 0                                 for the others

    A rollout edit: groups are whole there, over all ranks.

    Args:
        above: rewards at or below it mean "could not be judged", -0.5 for instance where an answer that cannot be
            parsed gets -1 and a wrong one 0.
        offset: added to the standard deviation.

    Raises:
        ValueError: a number that is not finite, or a batch without rewards or groups.

    Reference:
        Sheng et al., "ESPO", arXiv 2512.00499 (advantages of the verified responses only).

    Example:
        >>> import torch
        >>> ones = torch.ones(3, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    rewards=torch.tensor([-1.0, 0.0, 1.0]), group_ids=torch.zeros(3))
        >>> VerifiedAdvantage(above=-0.5)(batch).advantages.flatten().round(decimals=3)
        tensor([ 0.0000, -0.7070,  0.7070])
    """

    above: float
    offset: float = 1e-4
    sets: ClassVar[frozenset[str]] = frozenset({"advantages"})

    def __post_init__(self) -> None:
        require_finite("above", self.above)
        require_finite("offset", self.offset)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the recomputed advantages."""
        rewards = batch.given("rewards")
        verified = rewards > self.above
        judged = z_scores(batch, rewards, verified, self.offset)
        return batch.replace(advantages=spread(batch, torch.where(verified, judged, 0)))
