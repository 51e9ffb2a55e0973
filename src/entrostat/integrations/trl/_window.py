"""The open optimizer step: how many tokens it has, and the running sums of what is logged about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.integrations.trl._batch import response_mask

QUANTITIES = ("entropy", "clamped_entropy", "kept_mass", "watched_mass")


def step_tokens(
    buffered: Sequence[dict[str, Any]], position: int, accumulation: int, reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return the response tokens, on all ranks, of the accumulation window that opens at `position` of the buffer.

    Args:
        buffered: the micro-batches TRL cut from the current generation batch.
        position: which of them comes next.
        accumulation: micro-batches in the window.
        reduce: sums a tensor over all ranks.

    If the window reaches beyond this generation batch, the tokens still to be generated cannot be counted; then the
    window is taken to be as long as this generation batch per micro-batch, which is what TRL's own DAPO loss does.
    """
    inside = position + accumulation <= len(buffered)
    window = buffered[position : position + accumulation] if inside else buffered
    local = torch.stack([response_mask(batch).sum() for batch in window]).sum().float()
    tokens = reduce(local)
    return (tokens if inside else tokens * accumulation / len(buffered)).clamp(min=1)


class Window:
    """Sums over the micro-batches since the last optimizer step. Lives on the device; read once per step."""

    def __init__(self) -> None:
        self.tokens: Tensor | None = None
        """Response tokens of the window, on all ranks; None until its first micro-batch."""
        self.rollout_ended = False
        """Whether a rollout batch was used up in this window."""
        self._sums: Tensor | None = None

    def add(self, batch: TokenBatch, watched_mass: Tensor, bonus: Tensor) -> None:
        """Add a micro-batch: the sums of `QUANTITIES` over its tokens, their number, and the terms' share."""
        counted = batch.mask.bool()
        values = (batch.entropy, batch.clamped_entropy, batch.kept_mass, watched_mass)
        sums = [torch.where(counted, value.detach(), 0).double().sum() for value in values]
        part = torch.stack([*sums, counted.sum().double(), bonus.detach().double()])
        self._sums = part if self._sums is None else self._sums + part

    def close(self, reduce: Callable[[Tensor], Tensor], ranks: int) -> dict[str, float]:
        """Return the means over the window's tokens on all ranks, and start the next window."""
        assert self._sums is not None, "a window closes only after a micro-batch"
        *sums, tokens, bonus = reduce(self._sums).tolist()
        means = {name: total / max(tokens, 1.0) for name, total in zip(QUANTITIES, sums, strict=True)}
        self.__init__()
        # Every rank's share was multiplied by the number of ranks, because gradients are averaged over them.
        return {**means, "gap": means["entropy"] - means["clamped_entropy"], "bonus": bonus / ranks}
