"""Covariance mask: a few tokens, drawn among those that lower the entropy most, carry no gradient (Clip-Cov)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._covariance import alone, covariance, how_many
from entrostat.edits._ratio import clipped
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class CovarianceMask:
    """Zero the advantages of a random few of the tokens with a large covariance of log-prob and advantage.

        c_t = (lp_t - mean lp) (A_t - mean A)
        candidates: response tokens with low < c_t < high that the host does not clip
        A'_t = 0 for max(floor(share N), 1) of them, drawn uniformly; all of them if there are fewer

    Means, `N` and the draw are over all tokens of the batch on all ranks. The draw is torch's own, so that a run that
    restores torch's generators repeats it. The host goes on dividing by all tokens.

    Args:
        share: tokens to drop, as a share of the response tokens; 0 is neutral.
        low: least covariance of a candidate. The published bounds belong to advantages divided by their deviation.
        high: greatest covariance of a candidate; it leaves out outliers.
        across_ranks: False computes statistics and draw on each rank's own tokens, as the published code does.

    Raises:
        ValueError: `share` outside [0, 1], or `low` above `high`.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> logprobs, advantages = torch.tensor([[-6.0, 0.0, 0.0, 0.0]]), torch.tensor([[-1.0, 1.0, 1.0, 1.0]])
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=logprobs, advantages=advantages, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> CovarianceMask(share=0.25, high=9)(batch).advantages  # 4.5 x 1.5 is the one large covariance
        tensor([[0., 1., 1., 1.]])
    """

    share: float = 2e-4
    low: float = 1.0
    high: float = 5.0
    across_ranks: bool = True
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(0 <= require_finite("share", self.share) <= 1, "share", "lie in [0, 1]", self.share)
        require(require_finite("low", self.low) < self.high, "low", f"be below `high`={self.high!r}", self.low)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the advantages of the drawn tokens at zero."""
        if self.share == 0:
            return batch
        dropped = self._drawn(batch if self.across_ranks else alone(batch))
        return batch.replace(advantages=torch.where(dropped, 0, batch.advantages))

    def _drawn(self, batch: TokenBatch) -> Tensor:
        below, above = clipped(batch)
        c = covariance(batch)
        candidates = batch.mask.bool() & (c > self.low) & (c < self.high) & ~below & ~above
        # The smallest of independent uniform numbers are a uniform draw, and ranks need to agree on one number only.
        lots = torch.rand(c.shape, device=c.device)
        everyones, wanted = batch.gather(lots[candidates]), how_many(batch, self.share)
        if wanted >= everyones.numel():
            return candidates
        return candidates & (lots <= everyones.kthvalue(wanted).values)
