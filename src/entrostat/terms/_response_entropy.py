"""Response entropy: minimise what a response's tokens hold in all, averaged over responses (EM-FT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch


@dataclass(frozen=True, kw_only=True)
class ResponseEntropy:
    """The coefficient times the recipe's measure, summed over a response's tokens and averaged over responses.

        loss_{b,t} = coef w_{b,t} H_{b,t} N / R        N tokens and R responses in the step

    The host divides by N, so what is minimised is `coef (1/R) sum_b sum_t H`. The gradient flows through H alone: the
    responses are taken as given.

    Reference:
        Agarwal et al., arXiv 2505.15134 (EM-FT).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=1.5 * ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ResponseEntropy()(batch, 1.0)
        tensor([[3., 3.]])
    """

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `coef * w * H * N / R` of each token, `[B, T]`."""
        if coef == 0:
            return torch.zeros_like(batch.clamped_entropy, requires_grad=False)
        return batch.weighed(batch.clamped_entropy * (coef * batch.tokens_of_step() / batch.responses_of_step()))
