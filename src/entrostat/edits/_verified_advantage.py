"""Verified advantage: the group's z-score over the responses that could be judged, nothing for the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.edits._responses import spread, z_scores
from entrostat.errors import require_finite


@dataclass(frozen=True, kw_only=True)
class VerifiedAdvantage:
    """Recompute advantages in each prompt group from the responses whose reward is above a threshold.

        judged: responses with R > above            A_i = (R_i - mean R) / (std R + offset) over the group's judged
                                                    A_i = 0                                 for the others

    A rollout edit: groups are whole there, over all ranks.

    Args:
        above: rewards at or below it mean "could not be judged", -0.5 for instance where an answer that cannot be
            parsed gets -1 and a wrong one 0.
        offset: added to the standard deviation.

    Raises:
        ValueError: a number that is not finite, or a batch without rewards or groups.

    Reference:
        Sheng et al., "ESPO", arXiv 2512.00499 (advantages of the verified responses only).

    Example:
        >>> import torch
        >>> ones = torch.ones(3, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    rewards=torch.tensor([-1.0, 0.0, 1.0]), group_ids=torch.zeros(3))
        >>> VerifiedAdvantage(above=-0.5)(batch).advantages.flatten().round(decimals=3)
        tensor([ 0.0000, -0.7070,  0.7070])
    """

    above: float
    offset: float = 1e-4
    sets: ClassVar[frozenset[str]] = frozenset({"advantages"})

    def __post_init__(self) -> None:
        require_finite("above", self.above)
        require_finite("offset", self.offset)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the recomputed advantages."""
        rewards = batch.given("rewards")
        verified = rewards > self.above
        judged = z_scores(batch, rewards, verified, self.offset)
        return batch.replace(advantages=spread(batch, torch.where(verified, judged, 0)))
