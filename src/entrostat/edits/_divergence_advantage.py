"""Divergence advantage: the exact gradient of a divergence to the rollout policy, put into the advantages (RPG)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import log_ratio
from entrostat.errors import require, require_finite, unknown_name

Divergence = Literal["forward", "reverse", "unnormalized_forward", "unnormalized_reverse"]


@dataclass(frozen=True, kw_only=True)
class DivergenceAdvantage:
    """Add to each advantage what makes the host's `-w A' grad log pi` the gradient of `-(E[R] - coef D)`.

    With `w = pi / pi_old` at the sampled token, taken as a constant:

        D = KL(old || pi)            "forward"                 A' = A + coef / w
        D = KL(pi || old)            "reverse"                 A' = A - coef (log w + 1)
        D = UKL(old || pi)           "unnormalized_forward"    A' = A - coef (1 - 1/w)
        D = UKL(pi || old)           "unnormalized_reverse"    A' = A - coef log w

    where `UKL(p || q) = sum p log(p/q) - p + q`. The host's clip then acts on the whole advantage, penalty included.
    With `clamped`, `w` is first clamped to the clip bounds of the batch; then it is no exact gradient beyond them.

    Args:
        coef: weight of the divergence, nats of reward per nat; 0 is neutral.
        divergence: one of the four.
        clamped: clamp `w` to the clip bounds, as one branch of the published code does.

    Raises:
        ValueError: a negative `coef`, or an unknown divergence.

    Reference:
        Zhang et al., "On the Design of KL-Regularized Policy Gradient Algorithms for LLM Reasoning", arXiv 2505.17508.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-2 * ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> DivergenceAdvantage(coef=0.1, divergence="reverse")(batch).advantages
        tensor([[0.8000]])
    """

    coef: float = 1e-4
    divergence: Divergence = "unnormalized_reverse"
    clamped: bool = False
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(require_finite("coef", self.coef) >= 0, "coef", "be at least 0", self.coef)
        if self.divergence not in get_args(Divergence):
            raise unknown_name("divergence", self.divergence, get_args(Divergence))

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the divergence's share in its advantages."""
        if self.coef == 0:
            return batch
        log_w = log_ratio(batch)
        if self.clamped:
            log_w = log_w.exp().clamp(1 - batch.clip_low, 1 + batch.clip_high).log()
        changed = batch.advantages - self.coef * self._price(log_w)
        return batch.replace(advantages=torch.where(batch.mask.bool(), changed, batch.advantages))

    def _price(self, log_w: Tensor) -> Tensor:
        """Return what the divergence takes from the advantage, per unit of `coef`."""
        if self.divergence == "forward":
            return -(-log_w).exp()
        if self.divergence == "reverse":
            return log_w + 1
        return 1 - (-log_w).exp() if self.divergence == "unnormalized_forward" else log_w
