"""Entropy masking: let only the most uncertain tokens carry the policy gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class EntropyMask:
    """Zero the advantages of all but the highest-entropy share of the response tokens.

        tau = the (1 - keep) quantile of H over all response tokens of the batch, on all ranks
        A'_{b,t} = A_{b,t} 1[H_{b,t} >= tau] N / N_kept

    A token without advantage gives no policy gradient, and the host's loss needs no mask of its own for it. The
    factor `N / N_kept` restores the mean over kept tokens that the paper writes, where a host divides by all `N`.

    Args:
        keep: share of tokens that keep their advantage, in (0, 1]; 1 is neutral.
        rescale: multiply by `N / N_kept` (the paper's mean over kept tokens). Without it each kept token weighs what it
            weighed before, as in the code the paper's authors built on.

    Raises:
        ValueError: `keep` outside (0, 1].

    Reference:
        Wang et al., "Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective RL", arXiv 2506.01939.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, kept_mass=ones,
        ...                    entropy=torch.tensor([[0.1, 0.9, 0.2, 0.8]]), clamped_entropy=ones, clip_low=ones,
        ...                    clip_high=ones)
        >>> EntropyMask(keep=0.5)(batch).advantages
        tensor([[0., 2., 0., 2.]])
    """

    keep: float
    rescale: bool = True
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(0 < require_finite("keep", self.keep) <= 1, "keep", "lie in (0, 1]", self.keep)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the low-entropy tokens' advantages at zero."""
        if self.keep == 1:
            return batch
        counted = batch.mask.bool()
        entropy = batch.entropy.detach().float()
        tokens = batch.gather(entropy[counted])
        if tokens.numel() == 0:
            return batch
        kept = counted & (entropy >= _quantile(tokens, 1 - self.keep))
        scale = self._scale(batch, kept, tokens.numel())
        advantages = batch.advantages.detach()
        return batch.replace(
            advantages=torch.where(counted, advantages * kept.to(advantages.dtype) * scale, advantages)
        )

    def _scale(self, batch: TokenBatch, kept: Tensor, total: int) -> float:
        if not self.rescale:
            return 1.0
        return total / max(1.0, float(batch.gather(kept.sum().reshape(1).float()).sum()))


def _quantile(values: Tensor, share: float) -> Tensor:
    # torch.quantile refuses more than 16 million values; the k-th value is the same thing without interpolation.
    rank = min(values.numel(), int(share * values.numel()) + 1)
    return values.kthvalue(rank).values
