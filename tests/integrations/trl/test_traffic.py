"""What `aent` sends over the network per optimizer step is what docs/scaling.md says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor

from entrostat import recipes

REDUCTIONS, BYTES = 3, 4 + 48 + 16
"""Tokens of the step; the window's six sums; the controller's two."""


@pytest.mark.train
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_what_aent_sends_per_step(make_trainer: Callable[..., Any], accumulation: int) -> None:
    recipe = recipes.aent(clamp=0.4, low=0.15, high=0.24)
    trainer = make_trainer(recipe, max_steps=3, gradient_accumulation_steps=accumulation)
    sent: list[int] = []

    def reduce(tensor: Tensor) -> Tensor:
        sent.append(tensor.numel() * tensor.element_size())
        return tensor

    def gather(values: Tensor) -> Tensor:
        raise AssertionError("aent gathers nothing")

    trainer._ranks.total, trainer._ranks.joined = reduce, gather
    trainer.train()
    assert len(sent) == 3 * REDUCTIONS
    assert sum(sent) == 3 * BYTES
