"""The entropy of each response's most uncertain positions, paid for or taxed (SIREN)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.losses import peak_weights


@dataclass(frozen=True, kw_only=True)
class PeakEntropy:
    """The coefficient times the mean over responses of the mean entropy of each response's peaks.

        h    = (1/R) sum_b sum_t w_{b,t} H_{b,t}       w: `peak_weights`, R: responses of the step
        loss_{b,t} = coef w_{b,t} H_{b,t} N / R        N: tokens of the step, which the host divides by

    so the step's mean of it is `coef h`. A positive coefficient lowers the entropy, a negative one raises it (the sign
    of a loss, not of a bonus): with `coef = 2 beta (h - anchor)` this is the gradient of `beta (h - anchor)^2`. `H` is
    the recipe's measure.

    Args:
        quantile: share of each response's positions to leave out, in [0, 1).

    Raises:
        ValueError: `quantile` outside [0, 1).

    Reference:
        SIREN, arXiv 2509.25133, and its code.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=torch.tensor([[0.5, 2.0]]), kept_mass=ones, clip_low=ones,
        ...                    clip_high=ones)
        >>> PeakEntropy()(batch, 0.1)  # 0.1 * 2 nats at one of two tokens
        tensor([[0.0000, 0.4000]])
    """

    quantile: float = 0.8

    def __post_init__(self) -> None:
        peak_weights(torch.zeros(0, 1), torch.zeros(0, 1), quantile=self.quantile)  # refuses one out of range

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `coef w H N / R` of each token, `[B, T]`."""
        weights = peak_weights(batch.clamped_entropy, batch.mask, quantile=self.quantile)
        entropy = torch.where(batch.mask.bool(), batch.clamped_entropy, 0)
        return batch.weighed(coef * weights * entropy * (batch.tokens_of_step() / batch.responses_of_step()))
