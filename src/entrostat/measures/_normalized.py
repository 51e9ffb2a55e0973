"""Entropy as a share of the largest it could be, so that one target fits every vocabulary and every mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.errors import require_count, sentence
from entrostat.measures._entropy import Measure, shannon


def normalized(logits: Tensor, *, allowed: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """Shannon entropy over `max(1, log n)`, with `n` the number of tokens allowed at that position.

        H' = H(p) / max(1, log n)

    The floor of 1 keeps positions with one or two allowed tokens from being divided by (almost) nothing. Without the
    floor the value would lie in [0, 1]; with it, in [0, 1] too, since `log n <= max(1, log n)`.

    Args:
        logits: `[..., V]`, `V >= 2`.
        allowed: booleans, broadcastable to `logits`; the others are banned. None allows every token whose logit is not
            `-inf`.
        temperature: divides the logits.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable; no unit.

    Raises:
        TypeError: `logits` is not a floating tensor, or `allowed` not boolean.
        ValueError: fewer than two tokens, or `temperature` not positive.

    Reference:
        Mohammadpour, Frejinger, Bacon, "Decoupling regularization from the action space", arXiv 2406.05953;
        van Remmerden, Bukhsh, Zhang, "Offline-LD", arXiv 2409.10589 (the count of allowed actions).

    Example:
        >>> import torch
        >>> round(float(normalized(torch.zeros(1000))), 4)
        1.0
    """
    if allowed is not None:
        if allowed.dtype != torch.bool:
            raise TypeError(sentence("allowed", "be boolean", allowed.dtype))
        logits = logits.masked_fill(~allowed, -torch.inf)
    entropy = shannon(logits, temperature=temperature)
    count = (logits.detach() > -torch.inf).sum(-1).clamp(min=1)
    return entropy / count.to(entropy.dtype).log().clamp(min=1)


@dataclass(frozen=True, kw_only=True)
class Normalized(Measure):
    """`normalized` as a measure a recipe can hold; every token whose logit is not `-inf` is allowed.

    Args:
        tokens: the number of allowed tokens where a host computes the entropy without showing the logits; None takes
            the vocabulary's size.

    Example:
        >>> import torch
        >>> round(float(Normalized()(torch.zeros(50))), 4)
        1.0
    """

    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.tokens is not None:
            require_count("tokens", self.tokens, least=1)

    def fused_scale(self, vocab: int) -> float | None:
        """One over the largest entropy, with the floor."""
        return 1.0 / max(1.0, math.log(self.tokens or vocab))

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return the entropy over `max(1, log n)`."""
        if self.tokens is None:
            return normalized(logits, temperature=temperature)
        return shannon(logits, temperature=temperature) / max(1.0, math.log(self.tokens))
