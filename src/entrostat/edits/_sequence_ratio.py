"""Sequence ratio: every token of a response gets the response's own ratio (GSPO)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import log_ratio, with_ratio


@dataclass(frozen=True, kw_only=True)
class SequenceRatio:
    """Make the host's ratio the geometric mean of the token ratios of the whole response.

        log s_b = (1/|o_b|) sum_t (logprobs_{b,t} - old_logprobs_{b,t})
        old'_{b,t} = sg(logprobs_{b,t}) - log s_b       so that the host forms  s_b pi / sg(pi)

    The value is `s_b` at every token, the gradient `s_b A_{b,t} grad log pi_{b,t}`: the host's clip then keeps or drops
    a response as a whole. A response has to lie on one rank, as it does in TRL.

    Reference:
        Zheng et al., "Group Sequence Policy Optimization", arXiv 2507.18071 (GSPO-token).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=torch.tensor([[-1.0, -2.0]]), old_logprobs=torch.tensor([[-1.0, -3.0]]),
        ...                    advantages=ones, mask=ones, entropy=ones, clamped_entropy=ones, kept_mass=ones,
        ...                    clip_low=ones, clip_high=ones)
        >>> edited = SequenceRatio()(batch)
        >>> batch.logprobs - edited.old_logprobs
        tensor([[0.5000, 0.5000]])
    """

    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the old log-probs that give every token its response's ratio."""
        counted = batch.mask.bool()
        log_s = log_ratio(batch).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp(min=1)
        return batch.replace(old_logprobs=with_ratio(batch, log_s, counted))
