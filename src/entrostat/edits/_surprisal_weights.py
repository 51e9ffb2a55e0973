"""Surprisal weights: the most surprising tokens of good responses count a little more (STARE)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class SurprisalWeights:
    """Weigh the most surprising tokens by the batch's coefficient; with a coefficient of 0, return the batch itself.

        s   = -log pi(sampled token), without gradient
        L+  = the ceil(share n+) largest s among the n+ tokens with A > 0,  L- likewise among those with A < 0
        A' = (1 + coef) A on L+,   (1 - falls coef) A on L-,   A elsewhere

    A positive factor on the advantage is the same factor on the clipped loss, so this is a weight on the token's loss.
    The ranks share one selection. Tokens as surprising as the last one selected are selected too.

    Args:
        share: share of the tokens of either sign that is selected, at least one token; in (0, 1].
        falls: how far the weight of L- falls per unit of the coefficient; 0 leaves the negative tokens alone.

    Raises:
        ValueError: `share` outside (0, 1], a negative `falls`.

    Reference:
        Luo et al., "STARE", arXiv 2606.19236.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> batch = TokenBatch(logprobs=-torch.tensor([[0.1, 3.0, 0.2, 2.0]]), old_logprobs=ones,
        ...                    advantages=torch.tensor([[1.0, 1.0, -1.0, -1.0]]), mask=ones, entropy=ones, coef=0.5,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> SurprisalWeights(share=0.1, falls=1.0)(batch).advantages
        tensor([[ 1.0000,  1.5000, -1.0000, -0.5000]])
    """

    share: float
    falls: float = 0.0
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(0 < require_finite("share", self.share) <= 1, "share", "lie in (0, 1]", self.share)
        require(require_finite("falls", self.falls) >= 0, "falls", "be at least 0", self.falls)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the selected tokens' advantages weighed."""
        if batch.coef == 0:
            return batch
        advantages = batch.advantages.detach()
        counted = batch.mask.bool()
        weight = torch.where(self._selected(batch, counted & (advantages > 0)), 1 + batch.coef, 1.0)
        if self.falls:
            falling = self._selected(batch, counted & (advantages < 0))
            weight = torch.where(falling, max(0.0, 1 - self.falls * batch.coef), weight)
        return batch.replace(advantages=torch.where(counted, advantages * weight, advantages))

    def _selected(self, batch: TokenBatch, among: Tensor) -> Tensor:
        surprisal = -batch.logprobs.detach().float()
        everyone = batch.gather(surprisal[among])
        if everyone.numel() == 0:
            return among
        smallest = everyone.topk(math.ceil(self.share * everyone.numel())).values[-1]
        return among & (surprisal >= smallest)
