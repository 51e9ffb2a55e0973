"""Entropy on the k likeliest tokens."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from entrostat.ops import Support, token_entropies


def top_k(logits: Tensor, *, k: int, temperature: float = 1.0) -> Tensor:
    """Entropy of the next-token distribution on its `k` likeliest tokens, renormalised, in nats.

    The same family as `clamped`, with the kept tokens counted instead of the removed share: a tight set stays tight
    when the vocabulary grows. The set is chosen without gradient; tokens that tie at its edge share the places left.

    Args:
        logits: `[..., V]`, `V >= 2`; `-inf` bans a token.
        k: how many tokens to keep, at least 1; all, if there are fewer.
        temperature: what the logits are divided by.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable, at most `log k`.

    Raises:
        TypeError: `logits` is not a floating tensor, or `k` not an integer.
        ValueError: `k < 1`, fewer than two tokens, or `temperature` not positive.

    Reference:
        TRE, arXiv 2602.03635 (top-k entropy bonus).

    Example:
        >>> import torch
        >>> round(float(top_k(torch.tensor([2.0, 2.0, 2.0, 1.0]), k=3)), 4)  # log 3
        1.0986
    """
    return token_entropies(logits, support=Support(top_k=k), temperature=temperature).clamped_entropy


@dataclass(frozen=True, kw_only=True)
class TopK:
    """`top_k` as a measure a recipe can hold.

    Args:
        k: how many tokens to keep, at least 1.

    Example:
        >>> import torch
        >>> round(float(TopK(k=2)(torch.zeros(5))), 4)  # log 2
        0.6931
    """

    k: int

    def __post_init__(self) -> None:
        Support(top_k=self.k)  # refuses a count below 1

    @property
    def support(self) -> Support | None:
        """The kept tokens."""
        return Support(top_k=self.k)

    def fused_scale(self, vocab: int) -> float | None:
        """The entropy on the support itself."""
        return 1.0

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return `top_k(logits)`."""
        return top_k(logits, k=self.k, temperature=temperature)
