"""The collectives of a run, as accelerate provides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from accelerate.utils import gather_object
from torch import Tensor

T = TypeVar("T")


class Ranks:
    """All processes of a run. With one rank nothing is sent, and no device is waited for."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return self._accelerator.num_processes

    @property
    def rank(self) -> int:
        """This process's rank, from zero."""
        return self._accelerator.process_index

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        if self.world_size == 1:
            return tensor
        return self._accelerator.reduce(tensor.to(self._accelerator.device), reduction="sum")

    def all_gather(self, tensor: Tensor) -> Sequence[Tensor]:
        """Return the tensors of all ranks, which have one shape, in the order of the ranks."""
        return self._accelerator.gather(tensor.unsqueeze(0)).unbind()

    def all_gather_object(self, value: T) -> list[T]:
        """Return the objects of all ranks, in the order of the ranks."""
        return cast("list[T]", gather_object([value])) if self.world_size > 1 else [value]

    def on_all_ranks(self, read: Callable[[], None]) -> None:
        """Call `read` on every rank; if it fails on any of them, fail on all.

        A rank that stopped alone would leave the others waiting for it in their next collective.

        Raises:
            ValueError: on all ranks alike, with the message of the first rank that failed.
        """
        complaint = None
        try:
            read()
        except (ValueError, OSError) as error:
            complaint = str(error)
        for rank, message in enumerate(self.all_gather_object(complaint)):
            if message is not None:
                raise ValueError(f"rank {rank}: {message}" if self.world_size > 1 else message)
