"""Shannon entropy of the whole next-token distribution."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from entrostat.ops import Support, token_entropies


def shannon(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Shannon entropy of the next-token distribution, in nats.

        x = logits / temperature,  p = softmax(x)        H = -sum_j p_j log p_j        dH/dx_j = -p_j (log p_j + H)

    Args:
        logits: `[..., V]`, `V >= 2`, any floating dtype and strides; `-inf` bans a token.
        temperature: what the logits are divided by.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable. 0 where every token is banned.

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: fewer than two tokens, or `temperature` not positive.

    Reference:
        Shannon, "A Mathematical Theory of Communication", 1948.

    Example:
        >>> import torch
        >>> round(float(shannon(torch.zeros(4))), 4)  # log 4
        1.3863
    """
    return token_entropies(logits, temperature=temperature).entropy


@dataclass(frozen=True)
class Shannon:
    """`shannon` as a measure a recipe can hold.

    Example:
        >>> import torch
        >>> round(float(Shannon()(torch.zeros(2))), 4)
        0.6931
    """

    @property
    def support(self) -> Support | None:
        """Every token counts."""
        return None

    def fused_scale(self, vocab: int) -> float | None:
        """The entropy itself."""
        return 1.0

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return `shannon(logits)`."""
        return shannon(logits, temperature=temperature)
