"""Covariance weight: the recipe's terms count at the tokens that lower the entropy most, and nowhere else (KL-Cov)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from entrostat.batch import TokenBatch
from entrostat.edits._covariance import alone, covariance, how_many
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class CovarianceWeight:
    """Set the weight of the terms to 1 at the tokens with the largest covariance of log-prob and advantage, else to 0.

        c_t = (lp_t - mean lp) (A_t - mean A)
        w_t = 1 at the max(floor(share N), 1) tokens of largest c_t, provided c_t > 0

    Means, `N` and the choice are over all tokens of the batch on all ranks; equal ones at the edge are all chosen. A
    token whose covariance is not positive never is: in a batch without any advantage all are zero, and "the largest"
    would be an accident.

    Args:
        share: tokens to choose, as a share of the response tokens.
        across_ranks: False computes statistics and choice on each rank's own tokens, as the published code does.

    Raises:
        ValueError: `share` outside (0, 1].

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> logprobs, advantages = torch.tensor([[-6.0, 0.0, 0.0, 0.0]]), torch.tensor([[-1.0, 1.0, 1.0, 1.0]])
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=logprobs, advantages=advantages, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> CovarianceWeight(share=0.25)(batch).weight
        tensor([[1., 0., 0., 0.]])
    """

    share: float = 2e-3
    across_ranks: bool = True
    sets: ClassVar[frozenset[str]] = frozenset({"weight"})

    def __post_init__(self) -> None:
        require(0 < require_finite("share", self.share) <= 1, "share", "lie in (0, 1]", self.share)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the weight of the chosen tokens."""
        scope = batch if self.across_ranks else alone(batch)
        c, counted = covariance(scope), batch.mask.bool()
        everyones, wanted = scope.gather(c[counted]), how_many(scope, self.share)
        chosen = counted & (c > 0)
        if wanted < everyones.numel():
            chosen &= c >= everyones.kthvalue(everyones.numel() - wanted + 1).values
        return batch.replace(weight=chosen.float())
