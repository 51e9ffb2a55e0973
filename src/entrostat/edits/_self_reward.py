"""Self-reward: the policy's own confidence in place of the task's reward (entropy minimisation)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._responses import leave_one_out, response_mean, response_sum, spread, with_tokens, z_scores
from entrostat.errors import unknown_name

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
        rewards = _REWARDS[self.reward](batch)
        return batch.replace(advantages=spread(batch, _BASELINES[self.baseline](batch, rewards, with_tokens(batch))))
