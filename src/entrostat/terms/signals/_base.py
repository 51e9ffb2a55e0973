"""What every signal is: the quantity whose weighted mean over a window steers the controller."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from entrostat.batch import TokenBatch


class Weighted(NamedTuple):
    """Values and which of them count, of one shape; the controller is fed the mean of those that count."""

    values: Tensor
    counted: Tensor


@runtime_checkable
class Signal(Protocol):
    """`TokenBatch` -> `Weighted`.

    Contract, tested for every member: masked positions have no influence; no gradient; one batch or any split of it
    gives the same mean. A recipe without a signal feeds the mean of its measure over all response tokens.
    """

    def __call__(self, batch: TokenBatch) -> Weighted:
        """Return what to average over the window, all micro-batches and ranks."""
        ...
