"""Scale every advantage by one factor; 0 takes the policy gradient out of the host's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.errors import require_finite


@dataclass(frozen=True, kw_only=True)
class ScaleAdvantage:
    """Multiply the advantage of every response token.

        A'_{b,t} = factor A_{b,t}

    With 0 nothing is left of the host's loss but its divergence to the reference model, if it has one, and the
    recipe's terms: so a loss that needs no reward is trained alone.

    Args:
        factor: 1 is neutral.

    Raises:
        ValueError: a factor that is not finite.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ScaleAdvantage(factor=0.0)(batch).advantages
        tensor([[0., 0.]])
    """

    factor: float
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require_finite("factor", self.factor)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with scaled advantages."""
        if self.factor == 1:
            return batch
        advantages = batch.advantages.detach()
        return batch.replace(advantages=torch.where(batch.mask.bool(), advantages * self.factor, advantages))
