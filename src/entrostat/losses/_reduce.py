"""Masked sum and token count: the only ways in which a mean over tokens is formed, exact under any split.

A batch is split twice before its mean is formed: into micro-batches and over ranks. The mean of the parts' means
weighs a token by the size of its part; adding sums and counts, and dividing once at the end, does not. "Exact"
means up to the rounding of addition: of float64 in `Tally`, which measures, of the loss's dtype in `token_mean`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from entrostat.errors import require, sentence


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """Sum and number of the tokens a mask selects.

    Both live in one float64 tensor on the device of the values, so adding needs no device sync and one all-reduce
    moves sum and count together. Apple's MPS has no float64: there, and only there, the numbers live on the CPU.

    Reference:
        None: it is the identity sum/n = (sum_1 + ... + sum_k) / (n_1 + ... + n_k).

    Example:
        >>> entropy = torch.tensor([[1.0, 2.0, float("nan")], [6.0, 0.0, 0.0]])
        >>> mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
        >>> Tally.of(entropy, mask).mean
        3.0
        >>> (Tally.of(entropy[:1], mask[:1]) + Tally.of(entropy[1:], mask[1:])).mean  # the mean of means is 3.75
        3.0
    """

    sums: Tensor
    """`[2]`, float64: sum of the selected values, number of selected tokens."""

    @classmethod
    def zero(cls, *, device: torch.device | str = "cpu") -> Tally:
        """Return the tally of no tokens.

        Args:
            device: where the sums live.
        """
        return cls(torch.zeros(2, dtype=torch.float64, device=_float64_device(torch.device(device))))

    @classmethod
    def of(cls, values: Tensor, mask: Tensor) -> Tally:
        """Return the tally of the tokens where `mask` is not zero, without a gradient.

        Args:
            values: any shape, usually `[B, T]`; values at masked positions do not enter the sum, NaN neither.
            mask: the same shape; bool, or any number where zero means masked.

        Raises:
            ValueError: the shapes differ.
        """
        return cls(masked_sums([values], mask))

    def __post_init__(self) -> None:
        if self.sums.shape != (2,) or self.sums.dtype != torch.float64:
            got = f"{self.sums.dtype}{list(self.sums.shape)}"
            raise ValueError(sentence("sums", "be a float64 tensor of shape [2]", got))

    def __add__(self, other: Tally) -> Tally:
        """Return the tally of both sets of tokens, on the device of `other`: a fresh tally starts on the CPU."""
        return Tally(self.sums.to(other.sums.device) + other.sums)

    @property
    def mean(self) -> float | None:
        """The mean per token; `None` if there is no token, as no number would be true. Waits for the device."""
        total, tokens = self.sums.tolist()
        return total / tokens if tokens else None


def masked_sums(values: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the sum of several quantities over the same tokens, and how many tokens those are, without a gradient.

    Args:
        values: at least one quantity, of the shape of `mask`; values at masked positions do not enter, NaN neither.
        mask: bool, or any number where zero means masked.

    Returns:
        `[n + 1]`, float64, for `n` quantities.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> masked_sums([torch.tensor([1.0, 2.0]), torch.tensor([5.0, float("nan")])], torch.tensor([1, 0]))
        tensor([1., 5., 1.], dtype=torch.float64)
    """
    device = _float64_device(values[0].device)
    with torch.no_grad():
        kept = mask.to(device).bool()
        sums: list[Tensor] = []
        for value in values:
            _check_shapes(value, mask)
            # where, not a product: 0 * nan is nan.
            sums.append(torch.where(kept, value.to(device), 0).sum(dtype=torch.float64))
        return torch.stack([*sums, kept.sum().double()])


def _float64_device(device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "mps" else device


def _check_shapes(values: Tensor, mask: Tensor) -> None:
    rule = f"have the shape {tuple(values.shape)} of `values`"
    require(values.shape == mask.shape, "mask", rule, tuple(mask.shape))


def token_mean(values: Tensor, mask: Tensor, *, num_tokens: float | Tensor) -> Tensor:
    """Mean over response tokens, as this micro-batch's share of it: the sum here over the tokens of the whole step.

        sum_{b,t} mask values / num_tokens

    Because `num_tokens` counts the tokens of the whole optimizer step (all micro-batches, all ranks), the shares of any
    split of a batch add up to the value and the gradient of the batch taken at once. It has no default so that it
    cannot be forgotten. A micro-batch without tokens gives a zero that still has a gradient (of zero).

    Args:
        values: `[B, T]`; values at masked positions do not enter, NaN neither.
        mask: `[B, T]`, nonzero where a token counts.
        num_tokens: tokens of the whole step.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes differ, or `num_tokens` is a number that is not positive.

    Example:
        >>> values, mask = torch.tensor([[1.0, 3.0], [5.0, 9.0]]), torch.tensor([[1, 1], [1, 0]])
        >>> float(token_mean(values, mask, num_tokens=3))
        3.0
    """
    _check_shapes(values, mask)
    if not isinstance(num_tokens, Tensor) and not num_tokens > 0:
        raise ValueError(sentence("num_tokens", "be positive", num_tokens, "Count the tokens of the whole step."))
    return torch.where(mask.bool(), values, 0).sum() / num_tokens
