"""Ratios and bounds that several tokens share, or that move in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import log_ratio, with_ratio
from entrostat.errors import require, require_choice, require_finite, sentence


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
        require_choice("denominator", self.denominator, Denominator)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with each group's ratio, clip range and weight."""
        if batch.vocab is None:
            raise ValueError(sentence("vocab", "be known", None, "Fill it in the batch."))
        counted, entropy = batch.mask.bool(), batch.given("old_entropy")
        groups = _groups(entropy, counted, self.top)
        log_r = log_ratio(batch)
        log_s, width = _group_mean(log_r, groups), _group_mean(entropy, groups) * self.alpha / math.log(batch.vocab)
        # "old" is the equation as printed: the group's ratio times the token's own.
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
    # The rank of each token by entropy; masked positions come last. Stable, so that ties are split alike on every run.
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


Shape = Literal["ID", "DID", "OD"]


@dataclass(frozen=True, kw_only=True)
class FlexibleBounds:
    """Set clip bounds that are linear in the token's probability and move in time.

        U(p) = high_slope p + high         M(p) = low_slope p + low         eps: the standard bound
        x = 2 k / T - 1 in [-1, 1]         k: step, T: steps of the run     E: above 1 / below 1

        "ID"   x <= 0:  |x| U + (1 - |x|) eps  /  eps        x > 0:  eps  /  (1 - x) M + x eps
        "DID"  x <= 0:  |x| eps + (1 - |x|) U  /  eps        x > 0:  U    /  (1 - x) M + x eps
        "OD"   coefficient 1:  U  /  eps                     coefficient 0:  eps  /  M

    `p` is the probability under the policy being trained, r p_old, so a linear bound a p + b is an implicit one; solved

        r <= 1 + a r p_old + b   <=>   r <= (1 + b) / (1 - a p_old)
        r >= 1 - a r p_old - b   <=>   r >= (1 - b) / (1 + a p_old)

    A wide upper bound lets entropy rise (rare tokens gain), a wide lower one lets it fall (rare tokens lose).

    Args:
        shape: increase then decrease, decrease-increase-decrease, or oscillating decay, switched by the controller.
        high: upper bound at probability 0.
        high_slope: its change towards probability 1.
        low: lower bound at probability 0.
        low_slope: its change towards probability 1.
        eps: the standard bound.

    Raises:
        ValueError: an unknown shape, a slope that makes a bound negative, or a schedule without `total_steps`.

    Reference:
        Chen et al., "Flexible Entropy Control in RLVR", arXiv 2602.09782.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=torch.tensor([[0.01, 0.9]]).log(), advantages=ones,
        ...                    mask=ones, entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones,
        ...                    clip_high=ones, step=0, total_steps=10)
        >>> FlexibleBounds(shape="ID")(batch).clip_high
        tensor([[0.4963, 0.2245]])
    """

    shape: Shape = "ID"
    high: float = 0.5
    high_slope: float = -0.25
    low: float = 0.3
    low_slope: float = -0.13
    eps: float = 0.2
    sets: ClassVar[frozenset[str]] = frozenset({"clip_low", "clip_high"})

    def __post_init__(self) -> None:
        require_choice("shape", self.shape, Shape)
        for name in ("high", "low"):
            bound, slope = getattr(self, name), require_finite(f"{name}_slope", getattr(self, f"{name}_slope"))
            require(require_finite(name, bound) >= 0, name, "be at least 0", bound)
            require(-bound <= slope <= 0, f"{name}_slope", f"lie in [-{bound!r}, 0], as rare tokens get more", slope)
        require(self.low < 1, "low", "be below 1", self.low)
        require(0 <= require_finite("eps", self.eps) < 1, "eps", "lie in [0, 1)", self.eps)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the bounds of this moment."""
        upper, lower = self._shares(batch)
        counted, old = batch.mask.bool(), batch.old_logprobs.exp()
        # Each bound is between the linear one (share 1) and eps (share 0).
        a, b = upper * self.high_slope, upper * self.high + (1 - upper) * self.eps
        c, d = lower * self.low_slope, lower * self.low + (1 - lower) * self.eps
        return batch.replace(
            clip_high=torch.where(counted, (1 + b) / (1 - a * old) - 1, batch.clip_high),
            clip_low=torch.where(counted, 1 - (1 - d) / (1 + c * old), batch.clip_low),
        )

    def _shares(self, batch: TokenBatch) -> tuple[float, float]:
        """Return how far the upper and the lower bound are from `eps` towards their lines."""
        if self.shape == "OD":
            switch = min(1.0, max(0.0, batch.coef))
            return switch, 1 - switch
        if batch.total_steps is None:
            raise ValueError(sentence("total_steps", "be known for a schedule", None, "Give the run a length."))
        x = min(1.0, 2 * (batch.step or 0) / batch.total_steps - 1)
        if x <= 0:
            return (-x if self.shape == "ID" else 1 + x), 0.0
        return (0.0 if self.shape == "ID" else 1.0), 1 - x
