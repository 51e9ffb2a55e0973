"""Surprisal: minus the log-prob of what was sampled, an estimate of the entropy that needs no vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.batch import TokenBatch
from entrostat.terms.signals._base import Weighted


@dataclass(frozen=True, kw_only=True)
class Surprisal:
    """Feed the controller the mean of `-log pi(sampled token)`, nats.

    Its expectation is the entropy where the tokens were drawn from this very policy at temperature 1 with nothing cut
    off; elsewhere it is not.

    Args:
        old: take the log-probs of the policy that wrote the responses, whatever updates were made on them since; where
            the host keeps none, these are the current ones.

    Reference:
        The authors' code of Skywork-OR1 (arXiv 2505.22312) and AEPO (arXiv 2510.08141) steers by it.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> Surprisal()(batch).values
        tensor([[1., 1.]])
    """

    old: bool = False

    def __call__(self, batch: TokenBatch) -> Weighted:
        """Return the surprisal `[B, T]` of each token."""
        return Weighted(-(batch.old_logprobs if self.old else batch.logprobs).detach(), batch.mask)
