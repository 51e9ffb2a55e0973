"""Stands in for the model while TRL's hook calls it, and keeps the fields TRL does not read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entrostat.integrations.trl._batch import Measured
from entrostat.integrations.trl._head import SLOTS, HeadOutputs


class Recorder:
    """Call the model, keep what the fused head measured, and hand the head the scale of the rows it is about to see.

    Args:
        model: the model, wrapped or not.
        head: the request its fused head answers.
        keep: how many last positions are the response.
        scale: `[B, keep]` factor on the logits, or None.
    """

    def __init__(self, model: Any, head: HeadOutputs, keep: int, scale: Tensor | None = None) -> None:
        self._model, self._head, self._keep, self._scale = model, head, keep, scale
        self._parts: list[Measured] = []
        self._rows = 0

    def __call__(self, **kwargs: Any) -> Any:
        labels = kwargs["labels"]
        if self._scale is not None:
            # The head scores each position's next token: one position fewer than labels, the response at the end.
            factors = torch.ones(labels[:, 1:].shape, device=self._scale.device)
            factors[:, -self._keep :] = self._scale[self._rows : self._rows + len(labels)]
            self._head.scale = (factors, labels[:, 1:] != -100)
        self._rows += len(labels)
        try:
            output = self._model(**kwargs)
        finally:
            self._head.scale = None
        if self._head.measuring:
            fields = [output.log_probs, output.entropy, *(getattr(output, slot) for slot in SLOTS.values())]
            self._parts.append(Measured(*(field[:, -self._keep :] for field in fields)))
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def measured(self) -> Measured:
        """Return what was measured for all rows seen."""
        return Measured(*(torch.cat(parts) for parts in zip(*self._parts, strict=True)))
