"""What `aent` sends over the network per optimizer step is what docs/scaling.md says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import recipes
from entrostat.control import all_gather_ragged
from entrostat.integrations.trl._ranks import Ranks

REDUCTIONS, BYTES = 2, 4 + 56
"""Tokens of the step; the step's sums: three quantities, tokens, bonus, and the controller's two."""


@pytest.mark.train
@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_what_aent_sends_per_step(
    make_trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, accumulation: int
) -> None:
    sent: list[int] = []

    def all_reduce(self: Ranks, tensor: Tensor) -> Tensor:
        sent.append(tensor.numel() * tensor.element_size())
        return tensor

    monkeypatch.setattr(Ranks, "all_reduce", all_reduce)
    recipe = recipes.aent(clamp=0.4, low=0.15, high=0.24)
    make_trainer(recipe, max_steps=3, gradient_accumulation_steps=accumulation).train()
    assert len(sent) == 3 * REDUCTIONS
    assert sum(sent) == 3 * BYTES


def test_the_counts_that_the_page_shows_say_the_same() -> None:
    with (Path(__file__).parents[3] / "benchmarks" / "results" / "traffic.csv").open() as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    assert set(rows) <= set(recipes.names()), "a recipe that is gone is still shown: run benchmarks/traffic.py again"
    assert (float(rows["aent"]["sums"]), float(rows["aent"]["sum_bytes"])) == (REDUCTIONS, BYTES)


def test_what_is_gathered_is_joined_in_the_order_of_the_ranks() -> None:
    own, other = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0])
    sent: list[int] = []

    def gather(tensor: Tensor) -> Tensor:
        """As accelerate does: along the first dimension."""
        sent.append(tensor.numel())
        return torch.cat([tensor, torch.tensor([[len(other)]]) if tensor.dtype == torch.long else other.unsqueeze(0)])

    ranks = Ranks(SimpleNamespace(num_processes=2, gather=gather))
    assert all_gather_ragged(own, ranks.all_gather).tolist() == [1, 2, 3, 4, 5]
    assert sent == [1, 3], "the lengths, then the values padded to the longest"
