"""The processes of a run: what they sum, what they join, and what they can only do together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from accelerate.utils import gather_object
from torch import Tensor

T = TypeVar("T")


class Ranks:
    """All processes of a run, as accelerate knows them."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    @property
    def number(self) -> int:
        """How many there are."""
        return self._accelerator.num_processes

    @property
    def own(self) -> int:
        """Which of them this one is, from zero."""
        return self._accelerator.process_index

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        if self.number == 1:
            return tensor
        return self._accelerator.reduce(tensor.to(self._accelerator.device), reduction="sum")

    def joined(self, values: Tensor) -> Tensor:
        """Return 1-d tensors of different lengths as one, rank after rank."""
        if self.number == 1:
            return values
        lengths = self._accelerator.gather(torch.tensor([values.numel()], device=values.device)).tolist()
        padded = torch.nn.functional.pad(values, (0, max(lengths) - values.numel()))
        rows = self._accelerator.gather(padded.unsqueeze(0))
        return torch.cat([row[:length] for row, length in zip(rows, lengths, strict=True)])

    def each(self, value: T) -> list[T]:
        """Return what every rank has here, rank after rank."""
        return cast("list[T]", gather_object([value])) if self.number > 1 else [value]

    def together(self, read: Callable[[], T]) -> T:
        """Return what this rank reads, if every rank can read its own.

        A rank that stopped alone would leave the others waiting for it in their next collective.

        Raises:
            ValueError: on all ranks alike, with what the first rank that failed has to say.
        """
        found, complaint = None, None
        try:
            found = read()
        except (ValueError, OSError) as error:
            complaint = str(error)
        for rank, said in enumerate(self.each(complaint)):
            if said is not None:
                raise ValueError(f"rank {rank}: {said}" if self.number > 1 else said)
        return cast("T", found)
