"""Band filter: drop the responses that would push the entropy further out of its band (Entrocraft)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._responses import group_share, with_tokens
from entrostat.errors import require, require_finite, unknown_name

BandShape = Literal["linear", "cosine"]
Normalisation = Literal["group", "batch", "none"]


@dataclass(frozen=True, kw_only=True)
class BandFilter:
    """A rollout edit: zero the advantages whose sign would move the entropy H away from the band.

        H = mean entropy of the fresh rollouts, all ranks          m = 1[H > high] - 1[H < low]
        keep the responses with m A >= 0                            below the band A <= 0, above it A >= 0
        bound(x) = start + (end - start) x,    x = step / total_steps,  or (1 - cos(pi x)) / 2

    Without a known run length the start of the band holds.

    Args:
        low: lower edge of the band at the start, nats per token.
        high: upper edge at the start.
        low_end: lower edge at the end of the run; None keeps `low`.
        high_end: upper edge at the end; None keeps `high`.
        shape: `"linear"` or `"cosine"`.
        normalise: what the kept responses are divided by, where a host divides by all: `"group"`, the kept ones of
            their prompt (factor G / |S_q|); `"batch"`, the kept tokens of the batch (N / N_kept); `"none"`, all.
        raw_rewards: outside the band replace the advantages by `max(R, 0)` above and `min(R, 0)` below, as the
            published code does; rewards are then taken as they are, so they should be -1 and 1.
        zero_one: turn rewards of 0 and 1 into -1 and 1 for that.

    Raises:
        ValueError: an empty band at either end, a number that is not finite, an unknown shape or normalisation.

    Reference:
        Li et al., arXiv 2604.26326, algorithm 1.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=torch.tensor([[1.0], [-1.0]]), mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    old_entropy=0.1 * ones, group_ids=torch.tensor([0, 0]))
        >>> BandFilter(low=0.2, high=0.3)(batch).advantages.flatten()
        tensor([ 0., -2.])
    """

    low: float
    high: float
    low_end: float | None = None
    high_end: float | None = None
    shape: BandShape = "linear"
    normalise: Normalisation = "group"
    raw_rewards: bool = False
    zero_one: bool = False
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        ends = (self.low, self.high), self._end()
        for (low, high), suffix in zip(ends, ("", "_end"), strict=True):
            require_finite(f"high{suffix}", high)
            require(require_finite(f"low{suffix}", low) <= high, f"low{suffix}", f"be at most {high!r}", low)
        for name, value, known in (
            ("shape", self.shape, get_args(BandShape)), ("normalise", self.normalise, get_args(Normalisation))
        ):  # fmt: skip
            if value not in known:
                raise unknown_name(name, value, known)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch without the responses on the wrong side."""
        low, high = self.band(batch.step, batch.total_steps)
        entropy = float(batch.mean(batch.given("old_entropy")))
        side = (entropy > high) - (entropy < low)
        if side == 0:
            return batch
        counted, advantages = batch.mask.bool(), batch.advantages.detach()
        if self.raw_rewards:
            edited = self._rewards(batch).clamp(**({"min": 0.0} if side > 0 else {"max": 0.0}))
        else:
            kept = side * advantages >= 0
            edited = advantages * kept * self._factor(batch, kept & counted)
        return batch.replace(advantages=torch.where(counted, edited.to(advantages.dtype), advantages))

    def band(self, step: int, total_steps: int | None) -> tuple[float, float]:
        """Return the band in force."""
        x = min(1.0, step / total_steps) if total_steps else 0.0
        x = x if self.shape == "linear" else (1 - math.cos(math.pi * x)) / 2
        low, high = (start + (end - start) * x for start, end in zip((self.low, self.high), self._end(), strict=True))
        return low, high

    def _end(self) -> tuple[float, float]:
        low, high = self.low_end, self.high_end
        return self.low if low is None else low, self.high if high is None else high

    def _rewards(self, batch: TokenBatch) -> Tensor:
        rewards = batch.given("rewards")
        return (2 * rewards - 1 if self.zero_one else rewards).unsqueeze(1).expand_as(batch.advantages)

    def _factor(self, batch: TokenBatch, kept: Tensor) -> Tensor | float:
        if self.normalise == "group":
            share = group_share(batch, kept.any(1), with_tokens(batch)).clamp(min=1e-9)
            return kept / share.unsqueeze(1).to(batch.advantages.dtype)
        if self.normalise == "batch":
            return 1 / batch.mean(kept.double()).clamp(min=1e-9).to(batch.advantages.dtype)
        return 1.0
