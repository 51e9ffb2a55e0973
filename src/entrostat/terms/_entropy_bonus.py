"""The entropy bonus: what the policy is paid for every nat it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import sentence


@dataclass(frozen=True, kw_only=True)
class EntropyBonus:
    """Minus the coefficient times the recipe's measure, for every response token.

        loss_{b,t} = -coef w_b H_{b,t}

    `H` is the batch's `clamped_entropy`, that is, whatever the recipe measures; with a Shannon measure this is the
    ordinary entropy bonus, with a clamped one AEnt's.

    Args:
        weight: None for one coefficient for all, or a function from the batch to a weight `[B]` for each response, for
            methods that pay easy and hard prompts differently. Taken without gradient.

    Raises:
        ValueError: when called, if the weight is not `[B]`.

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

    weight: Callable[[TokenBatch], Tensor] | None = None

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `-coef * w * H` of each token, `[B, T]`."""
        if coef == 0:
            # No graph for a bonus that is switched off: nothing of it is computed in the backward pass.
            return torch.zeros_like(batch.clamped_entropy, requires_grad=False)
        bonus = batch.clamped_entropy * -coef
        if self.weight is None:
            return bonus
        weight = self.weight(batch).detach()
        if weight.shape != bonus.shape[:1]:
            raise ValueError(
                sentence("weight", f"give one value per response, {tuple(bonus.shape[:1])}", tuple(weight.shape))
            )
        return bonus * weight.unsqueeze(-1).to(bonus.dtype)
