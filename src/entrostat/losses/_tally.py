"""Masked sum and token count: the only way a mean over tokens is formed here, exact under any split.

A batch is split twice before anybody sees its mean: into micro-batches and over ranks. The mean of the parts' means
weighs a token by the size of its part; adding sums and counts, and dividing once at the end, does not. What "exact"
leaves is the rounding of float64 addition, about 1e-16 of the sum.
"""

from __future__ import annotations

import dataclasses

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
            values: any shape, usually `[B, T]`; what stands at masked positions is never read into the sum, be it NaN.
            mask: the same shape; bool, or any number where zero means masked.

        Raises:
            ValueError: the shapes differ.
        """
        require(values.shape == mask.shape, "mask", f"have the shape {_shape(values)} of `values`", _shape(mask))
        device = _float64_device(values.device)
        with torch.no_grad():
            kept = mask.to(device).bool()
            # where, not a product: 0 * nan is nan.
            selected = torch.where(kept, values.to(device), 0)
            return cls(torch.stack([selected.sum(dtype=torch.float64), kept.sum().double()]))

    def __post_init__(self) -> None:
        if self.sums.shape != (2,) or self.sums.dtype != torch.float64:
            got = f"{self.sums.dtype}{list(self.sums.shape)}"
            raise ValueError(sentence("sums", "be a float64 tensor of shape [2]", got))

    def __add__(self, other: Tally) -> Tally:
        """Return the tally of both sets of tokens, on the device of `other`: a fresh tally starts on the CPU."""
        return Tally(self.sums.to(other.sums.device) + other.sums)

    @property
    def mean(self) -> float | None:
        """The mean per token; `None` if there is no token, since no number would be true. Waits for the device."""
        total, tokens = self.sums.tolist()
        return total / tokens if tokens else None


def _float64_device(device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "mps" else device


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
