"""Tsallis entropy: bounded for any size of the vocabulary, so that the far tail cannot pay."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from entrostat.errors import require, require_finite
from entrostat.measures._entropy import Measure
from entrostat.ops import tsallis_entropy


def tsallis(logits: Tensor, *, q: float, temperature: float = 1.0) -> Tensor:
    """Tsallis entropy of index `q` of the next-token distribution.

        S_q = (1 - sum_j p_j^q) / (q (q - 1))        S_2 = (1 - sum_j p_j^2) / 2        S_1 = Shannon

    For `q > 1` it is bounded by `1 / (q (q - 1))` for any size of the vocabulary. Sources differ by a factor of `q`;
    this form gives the usual one half at `q = 2` and Shannon's entropy in the limit `q -> 1`.

    Args:
        logits: `[..., V]`, `V >= 2`; `-inf` bans a token.
        q: the index, positive; 1 is Shannon.
        temperature: divides the logits.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable. 0 where every token is banned.

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: `q` not positive, fewer than two tokens, or `temperature` not positive.

    Reference:
        Tsallis 1988; as a regulariser with the one half at q = 2: Lee, Choi, Oh, "Sparse Markov decision processes
        with causal sparse Tsallis entropy regularization", 2018.

    Example:
        >>> import torch
        >>> float(tsallis(torch.zeros(4), q=2.0))  # (1 - 1/4) / 2
        0.375
    """
    return tsallis_entropy(logits, q=q, temperature=temperature)


@dataclass(frozen=True, kw_only=True)
class Tsallis(Measure):
    """`tsallis` as a measure a recipe can hold.

    Args:
        q: the index, positive; 1 is Shannon.

    Example:
        >>> import torch
        >>> float(Tsallis(q=2.0)(torch.zeros(2)))
        0.25
    """

    q: float

    def __post_init__(self) -> None:
        require(require_finite("q", self.q) > 0, "q", "be positive", self.q)

    def fused_scale(self, vocab: int) -> float | None:
        """Only q = 1 is a multiple of the Shannon entropy."""
        return 1.0 if self.q == 1 else None

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return `tsallis(logits)`."""
        return tsallis(logits, q=self.q, temperature=temperature)
