"""Grouped ratio: one ratio and one clip range for a response's uncertain tokens, another for the rest (ESPO)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import log_ratio, with_ratio
from entrostat.errors import require, require_finite, sentence, unknown_name

Denominator = Literal["current", "old"]


@dataclass(frozen=True, kw_only=True)
class GroupedRatio:
    """Split each response by its tokens' entropy at the rollout; each group has its own ratio and clip range.

        groups tau of response b: its ceil(top |o|) tokens of highest old entropy, and the others;  K of them not empty
        log s_tau = (1/|tau|) sum_{t in tau} (logprobs_t - old_logprobs_t)
        ratio'_t  = s_tau pi / sg(pi)                           "current": value s_tau
                    sg(s_tau) pi / pi_old                       "old": value s_tau r_t
        clip'_low = clip'_high = alpha / log V  mean_{t in tau} H_old,t
        A'_t      = A_t |o| / (K |tau|)

    The last line turns a host's mean over the tokens of a response into the mean over its groups of their means; it is
    exact where the host averages per response (TRL: `loss_type="grpo"`), and relative within a response elsewhere.

    Args:
        alpha: clip range per unit of normalised entropy.
        top: share of a response's tokens in the uncertain group.
        denominator: `"current"` or `"old"`, see above.

    Raises:
        ValueError: `alpha` not positive, `top` outside (0, 1), an unknown denominator, or a batch without
            `old_entropy` or `vocab`.

    Reference:
        Sheng et al., "ESPO", arXiv 2512.00499, equations 5, 8 and 9.

    Example:
        >>> import torch
        >>> ones, logprobs = torch.ones(1, 4), torch.tensor([[-1.0, -1.0, -1.0, -0.5]])
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, old_entropy=torch.tensor([[0.1, 0.2, 0.3, 2.0]]), kept_mass=ones,
        ...                    clip_low=ones, clip_high=ones, vocab=1024)
        >>> edited = GroupedRatio(top=0.25)(batch)
        >>> batch.logprobs - edited.old_logprobs
        tensor([[0.0000, 0.0000, 0.0000, 0.5000]])
        >>> edited.advantages
        tensor([[0.6667, 0.6667, 0.6667, 2.0000]])
    """

    alpha: float = 0.02
    top: float = 0.2
    denominator: Denominator = "current"
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs", "clip_low", "clip_high"})

    def __post_init__(self) -> None:
        require(require_finite("alpha", self.alpha) > 0, "alpha", "be positive", self.alpha)
        require(0 < require_finite("top", self.top) < 1, "top", "lie in (0, 1)", self.top)
        if self.denominator not in get_args(Denominator):
            raise unknown_name("denominator", self.denominator, get_args(Denominator))

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with each group's ratio, clip range and weight."""
        if batch.vocab is None:
            raise ValueError(sentence("vocab", "be known", None, "Fill it in the batch."))
        counted, entropy = batch.mask.bool(), batch.given("old_entropy")
        groups = _groups(entropy, counted, self.top)
        log_r = log_ratio(batch)
        log_s, width = _group_mean(log_r, groups), _group_mean(entropy, groups) * self.alpha / math.log(batch.vocab)
        log_value = log_s if self.denominator == "current" else log_s + log_r
        return batch.replace(
            old_logprobs=with_ratio(batch, log_value, counted),
            clip_low=torch.where(counted, width, batch.clip_low),
            clip_high=torch.where(counted, width, batch.clip_high),
            advantages=torch.where(counted, batch.advantages * _weight(groups, counted), batch.advantages),
        )


def _groups(entropy: Tensor, counted: Tensor, top: float) -> tuple[Tensor, Tensor]:
    """Return the uncertain tokens of each response, and the others; each `[B, T]`."""
    tokens = counted.sum(1, keepdim=True)
    # Without the small number, 0.2 x 15 could be a hair above 3.
    size = (tokens.double() * top - 1e-9).ceil()
    order = torch.where(counted, entropy, -torch.inf).argsort(dim=1, descending=True, stable=True)
    uncertain = counted & (order.argsort(dim=1) < size)
    return uncertain, counted & ~uncertain


def _group_mean(values: Tensor, groups: tuple[Tensor, Tensor]) -> Tensor:
    """Return at each token the mean of its group; 0 elsewhere."""
    first, second = (group * torch.where(group, values, 0).sum(1, keepdim=True) / _size(group) for group in groups)
    return first + second


def _weight(groups: tuple[Tensor, Tensor], counted: Tensor) -> Tensor:
    """Return |o| / (K |tau|) at each token."""
    first, second = groups
    share = first / _size(first) + second / _size(second)
    kinds = first.any(1, keepdim=True).float() + second.any(1, keepdim=True).float()
    return counted.sum(1, keepdim=True) * share / kinds.clamp(min=1)


def _size(group: Tensor) -> Tensor:
    return group.sum(1, keepdim=True).clamp(min=1)
