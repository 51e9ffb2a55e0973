"""The entropy bonus: what the policy is paid for every nat it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch


@dataclass(frozen=True, kw_only=True)
class EntropyBonus:
    """Minus the coefficient times the recipe's measure, for every response token.

        loss_{b,t} = -coef w_{b,t} H_{b,t}

    `H` is the batch's `clamped_entropy`, that is, whatever the recipe measures; with a Shannon measure this is the
    ordinary entropy bonus, with a clamped one AEnt's. `w` is the batch's `weight`, 1 unless a rollout edit set it.

    Reference:
        Williams and Peng 1991 (the bonus); Shen, arXiv 2509.03493, section 4.1 (clamped).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=2 * ones,
        ...                    clamped_entropy=1.5 * ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> EntropyBonus()(batch, 0.1)
        tensor([[-0.1500, -0.1500]])
    """

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `-coef * w * H` of each token, `[B, T]`."""
        if coef == 0:
            # No graph for a bonus that is switched off: nothing of it is computed in the backward pass.
            return torch.zeros_like(batch.clamped_entropy, requires_grad=False)
        bonus = batch.clamped_entropy * -coef
        return bonus if batch.weight is None else bonus * batch.weight
