"""The interfaces of a term, which is added to the host's loss, and of a signal, which steers the controller."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from entrostat.batch import TokenBatch

__all__ = ["Signal", "Term", "Weighted"]


@runtime_checkable
class Term(Protocol):
    """`TokenBatch`, coefficient -> loss per token `[B, T]`, to be averaged over all response tokens of the step.

    Contract, tested for every member: one batch or any split of it gives the same gradient; a fully masked micro-batch
    gives a zero that can be differentiated; masked positions have no influence.
    """

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return the loss of each token; the host adds its mean over the step's tokens to its own loss."""
        ...


class Weighted(NamedTuple):
    """Values and which of them count, of one shape; the controller is fed the mean of those that count."""

    values: Tensor
    counted: Tensor


@runtime_checkable
class Signal(Protocol):
    """The quantity whose mean over a window steers the controller, where that is not the recipe's measure.

    Contract, tested for every member: masked positions have no influence; no gradient; one batch or any split of it
    gives the same mean. A recipe without a signal feeds the mean of its measure over all response tokens.
    """

    def read(self, batch: TokenBatch) -> Weighted:
        """Return what to average over the window, all micro-batches and ranks."""
        ...
