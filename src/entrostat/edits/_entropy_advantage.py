"""Entropy-shaped advantage: a token decided in doubt gains a little advantage, capped by the advantage itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


@dataclass(frozen=True, kw_only=True)
class EntropyAdvantage:
    """Add a share of the token's entropy to its advantage, never enough to turn its sign.

        psi_{b,t} = min(alpha sg(H_{b,t}), |A_{b,t}| / kappa)
        A'_{b,t}  = A_{b,t} + psi_{b,t}

    `psi >= 0` and `psi <= |A| / kappa`: a good token's push grows by at most `1 / kappa`, a bad one's shrinks by at
    most as much. Tokens of groups without signal (A = 0) get nothing. No gradient flows through H.

    Args:
        alpha: advantage per nat; 0 is neutral.
        kappa: how many times smaller than the advantage the addition stays; above 1.

    Raises:
        ValueError: a negative `alpha`, or a `kappa` that is not above 1.

    Reference:
        Cheng et al., "Reasoning with Exploration: An Entropy Perspective", arXiv 2506.14758.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 3)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=torch.tensor([[1.0, 1.0, -1.0]]), mask=ones,
        ...                    entropy=torch.tensor([[0.5, 9.0, 9.0]]), clamped_entropy=ones, kept_mass=ones,
        ...                    clip_low=ones, clip_high=ones)
        >>> EntropyAdvantage(alpha=0.4, kappa=2.0)(batch).advantages
        tensor([[ 1.2000,  1.5000, -0.5000]])
    """

    alpha: float
    kappa: float
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(require_finite("alpha", self.alpha) >= 0, "alpha", "be at least 0", self.alpha)
        require(require_finite("kappa", self.kappa) > 1, "kappa", "be above 1", self.kappa)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with shaped advantages."""
        if self.alpha == 0:
            return batch
        advantages = batch.advantages.detach()
        entropy = batch.entropy.detach().clamp(min=0).to(advantages.dtype)
        psi = torch.minimum(self.alpha * entropy, advantages.abs() / self.kappa)
        return batch.replace(advantages=torch.where(batch.mask.bool(), advantages + psi, advantages))
