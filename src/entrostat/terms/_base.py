"""What every term is: a loss per token that a recipe adds to the host's own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from entrostat.batch import TokenBatch


@runtime_checkable
class Term(Protocol):
    """`TokenBatch`, coefficient -> loss per token `[B, T]`, to be averaged over all response tokens of the step.

    Contract, tested for every member: one batch or any split of it gives the same gradient; a fully masked micro-batch
    gives a zero that can be differentiated; masked positions have no influence.
    """

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return the loss of each token; the host adds its mean over the step's tokens to its own loss."""
        ...
