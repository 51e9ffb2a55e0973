"""The covariance statistic that Clip-Cov and KL-Cov choose tokens by."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.batch import TokenBatch


def alone(batch: TokenBatch) -> TokenBatch:
    """Return the batch as if its rank were the only one: what the published code computes its statistics over."""
    return batch.replace(gather=_same)


def _same(values: Tensor) -> Tensor:
    return values


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
