"""The covariance of log-prob and advantage, and the edits that choose tokens by it (Clip-Cov, KL-Cov)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import clipped
from entrostat.errors import require, require_finite


def alone(batch: TokenBatch) -> TokenBatch:
    """Return the batch as if its rank were the only one, as in the published code's statistics."""

    def own(values: Tensor) -> Tensor:
        return values

    return batch.replace(gather=own)


def covariance(batch: TokenBatch) -> Tensor:
    """Return each token's share of the covariance of log-prob and advantage; 0 at masked positions.

        c_t = (lp_t - mean lp) (A_t - mean A)        means over all response tokens of the batch, on all ranks

    To first order a policy-gradient step lowers the entropy by the mean of `c_t` over the policy's own samples.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617.
    """
    counted = batch.mask.bool()
    logprobs, advantages = batch.logprobs.detach(), batch.advantages
    centred = (logprobs - batch.mean(logprobs)) * (advantages - batch.mean(advantages))
    return torch.where(counted, centred, 0).float()


def how_many(batch: TokenBatch, share: float) -> int:
    """Return how many tokens a share of the batch's tokens is, on all ranks; at least 1."""
    tokens = batch.gather(batch.mask.bool().sum().reshape(1)).sum()
    return max(1, int(share * int(tokens)))


@dataclass(frozen=True, kw_only=True)
class CovarianceMask:
    """Zero the advantages of a random few of the tokens with a large covariance of log-prob and advantage.

        c_t = (lp_t - mean lp) (A_t - mean A)
        candidates: response tokens with low < c_t < high that the host does not clip
        A'_t = 0 for max(floor(share N), 1) of them, drawn uniformly; all of them if there are fewer

    Means, `N` and the draw are over all tokens of the batch on all ranks. The draw is torch's own, so that a run that
    restores torch's generators repeats it. The host goes on dividing by all tokens.

    Args:
        share: tokens to drop, as a share of the response tokens; 0 is neutral.
        low: least covariance of a candidate. The published bounds belong to advantages divided by their deviation.
        high: greatest covariance of a candidate; it leaves out outliers.
        across_ranks: False computes statistics and draw on each rank's own tokens, as the published code does.

    Raises:
        ValueError: `share` outside [0, 1], or `low` above `high`.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> logprobs, advantages = torch.tensor([[-6.0, 0.0, 0.0, 0.0]]), torch.tensor([[-1.0, 1.0, 1.0, 1.0]])
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=logprobs, advantages=advantages, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> CovarianceMask(share=0.25, high=9)(batch).advantages  # 4.5 x 1.5 is the one large covariance
        tensor([[0., 1., 1., 1.]])
    """

    share: float = 2e-4
    low: float = 1.0
    high: float = 5.0
    across_ranks: bool = True
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(0 <= require_finite("share", self.share) <= 1, "share", "lie in [0, 1]", self.share)
        require(require_finite("low", self.low) < self.high, "low", f"be below `high`={self.high!r}", self.low)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the advantages of the drawn tokens at zero."""
        if self.share == 0:
            return batch
        dropped = self._drawn(batch if self.across_ranks else alone(batch))
        return batch.replace(advantages=torch.where(dropped, 0, batch.advantages))

    def _drawn(self, batch: TokenBatch) -> Tensor:
        below, above = clipped(batch)
        c = covariance(batch)
        candidates = batch.mask.bool() & (c > self.low) & (c < self.high) & ~below & ~above
        # The smallest of independent uniform numbers are a uniform draw, and ranks need to agree on one number only.
        lots = torch.rand(c.shape, device=c.device)
        everyones, wanted = batch.gather(lots[candidates]), how_many(batch, self.share)
        # Fewer candidates than wanted: all of them are dropped.
        if wanted >= everyones.numel():
            return candidates
        return candidates & (lots <= everyones.kthvalue(wanted).values)


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
            # The wanted-largest value over all ranks; kthvalue counts from the smallest.
            chosen &= c >= everyones.kthvalue(everyones.numel() - wanted + 1).values
        return batch.replace(weight=chosen.float())
