"""Sharpened logits: what good responses are updated under, so that confident ones are pushed less (ERA)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class SharpenedLogits:
    """A rollout edit: scale the logits of good responses by how sure the policy was of them, in every later update.

        h_b     = mean of the top max(1, int(share T_b)) token entropies of the response, before any scaling
        scale_b = k if h_b < low,   1/k if h_b > high,   1 otherwise;  1 at every token with A <= 0
        A'      = A / scale

    The gradient of `(A / k) log softmax(k z)_a` with respect to z is `A (onehot_a - softmax(k z))`: the update sees a
    sharper model than the one that samples, so a token that is likely already is pushed less. Tokens with A <= 0 stay
    as they are, bit for bit.

    Args:
        k: factor on the logits; 1 is neutral.
        low: sharpen where the response's entropy is below this, nats.
        high: flatten where it is above this; infinity never flattens. `low=0, high=inf` is neutral.
        share: share of a response's tokens whose mean entropy counts, the most uncertain ones.
        scale_advantages: divide the advantage by the scale; without it the push of a sharpened token is k times larger.
        truncate: decide by the integer part of the advantage, as the published code does by accident: an advantage
            between 0 and 1 then leaves the logits alone.

    Raises:
        ValueError: `k` below 1, a negative threshold, `low` above `high`, `share` outside (0, 1].

    Reference:
        Kang et al., "Entropy Regularizing Activation", arXiv 2510.08549.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=torch.tensor([[1.0], [-1.0]]), mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    old_entropy=0.1 * ones)
        >>> edited = SharpenedLogits(k=2.0, low=0.45, high=3.0)(batch)
        >>> edited.logit_scale.flatten(), edited.advantages.flatten()
        (tensor([2., 1.]), tensor([ 0.5000, -1.0000]))
    """

    k: float
    low: float
    high: float
    share: float = 0.2
    scale_advantages: bool = True
    truncate: bool = False
    sets: ClassVar[frozenset[str]] = frozenset({"logit_scale"})

    def __post_init__(self) -> None:
        require(require_finite("k", self.k) >= 1, "k", "be at least 1", self.k)
        require(require_finite("low", self.low) >= 0, "low", "be at least 0", self.low)
        require(self.high >= self.low, "high", f"be at least `low`={self.low!r}", self.high)
        require(0 < require_finite("share", self.share) <= 1, "share", "lie in (0, 1]", self.share)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with a scale on the logits of good responses, and their advantages divided by it."""
        if self.k == 1 or (self.low == 0 and self.high == math.inf):
            return batch
        counted, advantages = batch.mask.bool(), batch.advantages.detach()
        peak = self._peak(batch.given("old_entropy").detach(), counted)
        scale = torch.where(peak < self.low, self.k, torch.where(peak > self.high, 1 / self.k, 1.0)).unsqueeze(1)
        good = counted & (advantages > 0)
        sharpened = good & (advantages.trunc() > 0) if self.truncate else good
        changes = {"logit_scale": torch.where(sharpened, scale, 1.0).to(advantages.dtype)}
        if self.scale_advantages:
            changes["advantages"] = torch.where(good, (advantages / scale).to(advantages.dtype), advantages)
        return batch.replace(**changes)

    def _peak(self, entropy: Tensor, counted: Tensor) -> Tensor:
        """Return the mean of the highest token entropies of each response, `[B]`; 0 without tokens."""
        ordered = torch.where(counted, entropy.double(), -1.0).sort(1, descending=True).values
        lengths = counted.sum(1)
        taken = (self.share * lengths.double()).floor().clamp(min=1)
        rank = torch.arange(ordered.shape[1], device=ordered.device)
        chosen = (rank < taken.unsqueeze(1)) & (rank < lengths.unsqueeze(1))
        return torch.where(chosen, ordered, 0).sum(1) / taken
