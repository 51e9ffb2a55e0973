"""The ratio the host forms from a batch, and edits of it: which tokens keep a gradient, and of what size.

Host: r = exp(logprobs - old_logprobs), loss = -min(r A, clip(r, ...) A).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite


def log_ratio(batch: TokenBatch) -> Tensor:
    """Return `logprobs - old_logprobs`, without gradient; 0 at masked positions."""
    return torch.where(batch.mask.bool(), batch.logprobs.detach() - batch.old_logprobs, 0)


def clipped(batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Return which tokens the host's clip leaves without gradient: below the lower bound, and above the upper."""
    ratio, counted = log_ratio(batch).exp(), batch.mask.bool()
    below = counted & (ratio < 1 - batch.clip_low) & (batch.advantages < 0)
    above = counted & (ratio > 1 + batch.clip_high) & (batch.advantages > 0)
    return below, above


def with_ratio(batch: TokenBatch, log_value: Tensor, chosen: Tensor) -> Tensor:
    """Return old log-probs that make the host's ratio `exp(log_value) pi / sg(pi)` at the chosen tokens.

    Its value is `exp(log_value)`, its gradient `exp(log_value) grad log pi`.
    """
    return torch.where(chosen, batch.logprobs.detach() - log_value, batch.old_logprobs)


def unbound(batch: TokenBatch, chosen: Tensor) -> dict[str, Tensor]:
    """Return clip bounds that never bind at the chosen tokens: a ratio lies above 0 and below infinity."""
    return {
        "clip_low": torch.where(chosen, 1.0, batch.clip_low),
        "clip_high": torch.where(chosen, torch.inf, batch.clip_high),
    }


def freeze(batch: TokenBatch, chosen: Tensor, value: Tensor) -> TokenBatch:
    """Return a batch whose chosen tokens have the loss `-value A`, and no gradient.

    Both bounds are put at `value` and the ratio on the side where the clip takes the gradient:

        A >= 0:  min(2 value A, value A) = value A           A < 0:  min(value/2 A, value A) = value A

    So a host counts a frozen token among those it clips.
    """
    factor = torch.where(batch.advantages < 0, 0.5, 2.0)
    return batch.replace(
        old_logprobs=with_ratio(batch, (value * factor).log(), chosen),
        clip_low=torch.where(chosen, 1 - value, batch.clip_low),
        clip_high=torch.where(chosen, value - 1, batch.clip_high),
    )


@dataclass(frozen=True, kw_only=True)
class ClipBounds:
    """Set both clip bounds of every token, whatever the host's own settings are.

        min(r A, clip(r, 1 - low, 1 + high) A)        binds only where A > 0 and r > 1 + high, or A < 0 and r < 1 - low

    Args:
        low: how far the ratio may fall below 1; None leaves the host's. At most 1.
        high: how far it may rise above 1; None leaves the host's, infinity never clips.

    Raises:
        ValueError: a negative bound, or `low` above 1.

    Reference:
        Yu et al., "DAPO", arXiv 2503.14476 (bounds that differ).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=0.2 * ones, clip_high=0.2 * ones)
        >>> edited = ClipBounds(high=0.28)(batch)
        >>> round(float(edited.clip_low), 2), round(float(edited.clip_high), 2)
        (0.2, 0.28)
    """

    low: float | None = None
    high: float | None = None
    sets: ClassVar[frozenset[str]] = frozenset({"clip_low", "clip_high"})

    def __post_init__(self) -> None:
        if self.low is not None:
            require(0 <= require_finite("low", self.low) <= 1, "low", "lie in [0, 1]", self.low)
        if self.high is not None:
            require(self.high >= 0, "high", "be at least 0", self.high)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with these bounds at every response token."""
        counted = batch.mask.bool()
        changes = {
            name: torch.where(counted, bound, before)
            for name, bound, before in (
                ("clip_low", self.low, batch.clip_low), ("clip_high", self.high, batch.clip_high)
            )
            if bound is not None
        }  # fmt: skip
        return batch.replace(**changes) if changes else batch


@dataclass(frozen=True, kw_only=True)
class ClippedWeight:
    """Weigh each token's policy gradient by its clipped ratio, taken as a constant.

        A' = A sg(clip(r, 1 - low, 1 + high))           ratio' = pi / sg(pi)           bounds that never bind

    Gradient of the host's loss: `-clip(r) A grad log pi` for every token, where PPO's clip gives some tokens none.

    Args:
        low: the least weight is `1 - low`; 1 for no lower bound.
        high: the greatest weight is `1 + high`.

    Raises:
        ValueError: `low` outside [0, 1], or `high` below 0.

    Reference:
        MiniMax, "MiniMax-M1", arXiv 2506.13585 (CISPO).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=torch.tensor([[0.7, 0.0]]) - 1, old_logprobs=-ones, advantages=ones, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ClippedWeight(high=0.5)(batch).advantages  # e^0.7 is beyond 1.5
        tensor([[1.5000, 1.0000]])
    """

    low: float = 1.0
    high: float
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs", "clip_low", "clip_high"})

    def __post_init__(self) -> None:
        require(0 <= require_finite("low", self.low) <= 1, "low", "lie in [0, 1]", self.low)
        require(require_finite("high", self.high) >= 0, "high", "be at least 0", self.high)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch whose advantages carry the weight and whose ratio is 1 with a gradient."""
        counted = batch.mask.bool()
        # The weight is a constant of the advantage; the ratio that the host forms is 1 with the gradient of log pi.
        weight = log_ratio(batch).exp().clamp(1 - self.low, 1 + self.high)
        return batch.replace(
            advantages=torch.where(counted, batch.advantages * weight, batch.advantages),
            old_logprobs=with_ratio(batch, torch.zeros_like(weight), counted),
            **unbound(batch, counted),
        )


@dataclass(frozen=True, kw_only=True)
class DualClip:
    """Stop the gradient of tokens with A < 0 beyond a ratio of `limit`; their loss stays at `-limit A`.

        A < 0:   loss = min(-min(r A, clip(r) A), -limit A)

    Args:
        limit: the ratio beyond which a punished token is left alone; at least 1. Infinity is neutral.

    Raises:
        ValueError: a limit below 1.

    Reference:
        Ye et al., "Mastering Complex Control in MOBA Games with Deep RL", arXiv 1912.09729.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> batch = TokenBatch(logprobs=2 * ones, old_logprobs=-ones, advantages=-ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> from entrostat.losses import clipped_surrogate
        >>> edited = DualClip(limit=10)(batch)
        >>> clipped_surrogate(edited.logprobs, edited.old_logprobs, edited.advantages, clip_low=edited.clip_low,
        ...                   clip_high=edited.clip_high).loss  # e^3 without it
        tensor([[10.]])
    """

    limit: float
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        require(self.limit >= 1, "limit", "be at least 1", self.limit)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the gradient of those tokens taken away."""
        if self.limit == torch.inf:
            return batch
        ratio = log_ratio(batch).exp()
        # Only punished tokens: with A > 0 the host's own clip already bounds the loss.
        beyond = batch.mask.bool() & (batch.advantages < 0) & (ratio > self.limit)
        return freeze(batch, beyond, torch.full_like(ratio, self.limit))


@dataclass(frozen=True, kw_only=True)
class PreservedGradient:
    """Give the tokens beyond the clip bounds the gradient of the bound, times a factor for each side.

        A < 0, r < 1 - clip_low:     ratio' = low  (1 - clip_low)  pi / sg(pi)
        A > 0, r > 1 + clip_high:    ratio' = high (1 + clip_high) pi / sg(pi)          unclipped; all others as before

    The gradient of such a token is `ratio' A grad log pi`, its loss `-ratio' A`. It reads the bounds of the batch: put
    it after the edits that set them. A factor of 0 leaves that side to the host's clip.

    Args:
        low: factor below the lower bound, where unlikely tokens are pushed down further: raising it lowers entropy.
        high: factor above the upper bound, where unlikely tokens are pushed up further: raising it raises entropy.

    Raises:
        ValueError: a factor that is negative or not finite.

    Reference:
        Su et al., "CE-GPPO", arXiv 2509.20712, equation 8; with both factors 1, "Klear-Reasoner", arXiv 2508.07629.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> logprobs = torch.tensor([[0.5]]).log()
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=0 * ones, advantages=-ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=0.2 * ones, clip_high=0.2 * ones)
        >>> edited = PreservedGradient(low=0.75)(batch)
        >>> round(float((edited.logprobs - edited.old_logprobs).exp()), 4)  # 0.75 x 0.8
        0.6
    """

    low: float = 0.0
    high: float = 0.0
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        require(require_finite("low", self.low) >= 0, "low", "be at least 0", self.low)
        require(require_finite("high", self.high) >= 0, "high", "be at least 0", self.high)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch in which the tokens beyond the bounds have a bounded ratio with a gradient."""
        if self.low == self.high == 0:
            return batch
        below, above = clipped(batch)
        # A factor of 0 is left to the host's clip, which gives no gradient either; its logarithm would be -inf.
        factor = torch.where(below, self.low * (1 - batch.clip_low), self.high * (1 + batch.clip_high))
        kept = (below | above) & (factor > 0)
        return batch.replace(
            old_logprobs=with_ratio(batch, torch.where(kept, factor, 1).log(), kept), **unbound(batch, kept)
        )


@dataclass(frozen=True, kw_only=True)
class EntropyRatioMask:
    """Keep the gradient of a token only while its entropy is near its value at the rollout.

        q = (H + offset) / (H_old + offset)          kept iff  1 - low < q < 1 + high

    Elsewhere the token's loss is a constant of the same value: the logged loss and every denominator stay. It acts on
    top of the host's clip, and reads the bounds and the ratio of the batch: put it last. Both entropies have to come
    from one kernel; the offset is the only guard of nearly certain tokens, whose ratio is otherwise rounding noise.

    Args:
        low: how far the entropy ratio may fall below 1; 1 for no lower bound.
        high: how far it may rise above 1; infinity for no upper bound.
        offset: added to both entropies, nats.

    Raises:
        ValueError: `low` outside [0, 1], `high` below 0, an offset that is not positive, or a batch without
            `old_entropy`.

    Reference:
        Su et al., "Entropy Ratio Clipping", arXiv 2512.05591.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 3)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, clamped_entropy=ones,
        ...                    entropy=torch.tensor([[1.0, 1.04, 1.2]]), old_entropy=ones, kept_mass=ones,
        ...                    clip_low=0.2 * ones, clip_high=0.2 * ones)
        >>> EntropyRatioMask()(batch).clip_high  # the third is clipped where it stands
        tensor([[0.2000, 0.2000, 0.0000]])
    """

    low: float = 0.05
    high: float = 0.05
    offset: float = 1e-8
    sets: ClassVar[frozenset[str]] = frozenset({"old_logprobs"})

    def __post_init__(self) -> None:
        require(0 <= require_finite("low", self.low) <= 1, "low", "lie in [0, 1]", self.low)
        require(self.high >= 0, "high", "be at least 0", self.high)
        require(require_finite("offset", self.offset) > 0, "offset", "be positive", self.offset)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the gradient of the tokens outside the band taken away."""
        if self.low == 1 and self.high == torch.inf:
            return batch
        # In float32: the ratio of two close entropies needs more digits than bf16 has.
        q = (batch.entropy.detach().float() + self.offset) / (batch.given("old_entropy").float() + self.offset)
        outside = batch.mask.bool() & ~((q > 1 - self.low) & (q < 1 + self.high))
        # The host's own multiplier of the advantage: the ratio, or the bound where that gives the lesser objective.
        ratio, bad = log_ratio(batch).exp(), batch.advantages < 0
        low, high = torch.maximum(ratio, 1 - batch.clip_low), torch.minimum(ratio, 1 + batch.clip_high)
        return freeze(batch, outside, torch.where(bad, low, high))
