"""The one place where a value per token becomes a scalar."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.errors import sentence


def token_mean(values: Tensor, mask: Tensor, *, num_tokens: float | Tensor) -> Tensor:
    """Mean over response tokens, as this micro-batch's share of it: the sum here over the tokens of the whole step.

        sum_{b,t} mask values / num_tokens

    Because `num_tokens` counts the tokens of the whole optimizer step (all micro-batches, all ranks), the shares of any
    split of a batch add up to the value and the gradient of the batch taken at once. It has no default so that it
    cannot be forgotten. A micro-batch without tokens gives a zero that still has a gradient (of zero).

    Args:
        values: `[B, T]`; whatever stands at masked positions, NaN too, does not enter.
        mask: `[B, T]`, nonzero where a token counts.
        num_tokens: tokens of the whole step.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes differ, or `num_tokens` is a number that is not positive.

    Example:
        >>> import torch
        >>> values, mask = torch.tensor([[1.0, 3.0], [5.0, 9.0]]), torch.tensor([[1, 1], [1, 0]])
        >>> float(token_mean(values, mask, num_tokens=3))
        3.0
    """
    if values.shape != mask.shape:
        raise ValueError(sentence("mask", f"have the shape of `values`, {tuple(values.shape)}", tuple(mask.shape)))
    if not isinstance(num_tokens, Tensor) and not num_tokens > 0:
        raise ValueError(sentence("num_tokens", "be positive", num_tokens, "Count the tokens of the whole step."))
    return torch.where(mask.bool(), values, 0).sum() / num_tokens
