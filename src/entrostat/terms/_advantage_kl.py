"""A divergence to the reference whose coefficient falls with the advantage (ADRPO)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.losses import advantage_coefficient


@dataclass(frozen=True, kw_only=True)
class AdvantageKL:
    """Turn the host's `kl_coef * k` into `beta * k` with a `beta` that depends on the token's advantage.

        beta = max(kl_coef - scale clip(A, low, high), floor)
        k    = exp(u) - u - 1,   u = log pi_ref - log pi          k3, the host's own estimator
        k    = r k               where the host multiplies it by the ratio (`kl_ratio`)
        loss = coef (beta - kl_coef) k

    The host adds `kl_coef k` itself; this is what is missing. It is reduced as the host reduces its own loss, so with
    `coef` 1 the sum is exactly the divergence with `beta`, for every loss type; `coef` 0 leaves the host's.

    Args:
        scale: how much one unit of advantage takes off the coefficient.
        low: least advantage that counts; None for no bound.
        high: greatest; None for no bound.
        floor: least coefficient. Below 0 the loss pays for divergence, which has no upper bound.

    Raises:
        ValueError: a negative scale, `low` above `high`, or a floor above 0.

    Reference:
        Fan et al., ADRPO, arXiv 2510.18053.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, ref_logprobs=-2 * ones, mask=ones, entropy=ones,
        ...                    advantages=torch.tensor([[0.1, -0.1]]), clamped_entropy=ones, kept_mass=ones,
        ...                    clip_low=ones, clip_high=ones, kl_coef=0.2)
        >>> AdvantageKL()(batch, 1.0)  # k = 1/e; the coefficient is 0.1 in place of 0.2, and 0.3
        tensor([[-0.0368,  0.0368]])
    """

    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    floor: float = 0.0

    def __post_init__(self) -> None:
        self._beta(torch.zeros(0), 0.0)  # refuses a setting out of range

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `coef (beta - kl_coef) k` of each token, `[B, T]`.

        Raises:
            ValueError: the batch has no log-probs of a reference.
        """
        if batch.ref_logprobs is None:
            raise ValueError("`AdvantageKL` needs `ref_logprobs`: keep a reference model.")
        counted = batch.mask.bool()
        # Filled before exp: whatever stands at a masked position, NaN too, must not reach the gradient.
        u = torch.where(counted, batch.ref_logprobs - batch.logprobs, 0)
        k = u.exp() - u - 1
        if batch.kl_ratio:
            k = k * torch.where(counted, batch.logprobs - batch.old_logprobs, 0).exp()
        beta = self._beta(torch.where(counted, batch.advantages, 0), batch.kl_coef)
        return batch.weighed(coef * (beta - batch.kl_coef) * k, as_host=True)

    def _beta(self, advantages: Tensor, kl_coef: float) -> Tensor:
        return advantage_coefficient(
            advantages, beta=kl_coef, scale=self.scale, low=self.low, high=self.high, floor=self.floor
        )
