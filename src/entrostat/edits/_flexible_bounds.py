"""Flexible bounds: clip bounds that are looser for rare tokens and follow a schedule or a switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite, sentence, unknown_name

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
        if self.shape not in get_args(Shape):
            raise unknown_name("shape", self.shape, get_args(Shape))
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
        x = min(1.0, 2 * batch.step / batch.total_steps - 1)
        if x <= 0:
            return (-x if self.shape == "ID" else 1 + x), 0.0
        return (0.0 if self.shape == "ID" else 1.0), 1 - x
