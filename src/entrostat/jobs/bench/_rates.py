"""Rates that explain measured times: `seconds = sum_k amount_k / rate_k`, every rate positive or infinite."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import torch

Amounts = Mapping[str, float]
"""What one measurement consisted of, by kind: operations, bytes, parameters."""


def fit_costs(amounts: Sequence[Amounts], seconds: Sequence[float], sweeps: int = 20_000) -> dict[str, float]:
    """Return the seconds per unit of each kind that leave the least squared relative error, none negative.

    Coordinate descent: the problem is convex, and each coordinate's best value is known in closed form.

    Example:
        >>> costs = fit_costs([{"a": 1, "b": 0}, {"a": 1, "b": 2}, {"a": 3, "b": 1}], [2.0, 2.0, 6.0])
        >>> round(costs["a"], 3), round(costs["b"], 3)
        (2.0, 0.0)
    """
    names = list(amounts[0])
    x = torch.tensor([[row[name] for name in names] for row in amounts], dtype=torch.float64)
    x = x / torch.tensor(seconds, dtype=torch.float64).unsqueeze(1)
    scale = x.norm(dim=0).clamp(min=1e-300)
    x = x / scale
    gram, right = (x.T @ x).tolist(), x.sum(0).tolist()
    costs = [0.0] * len(names)
    for _ in range(sweeps):
        moved = 0.0
        for k, row in enumerate(gram):
            rest = right[k] - sum(row[j] * costs[j] for j in range(len(costs)) if j != k)
            best = max(0.0, rest / row[k]) if row[k] else 0.0
            moved, costs[k] = max(moved, abs(best - costs[k])), best
        if moved < 1e-12 * max(costs):
            break
    return {name: cost / float(scale[k]) for k, (name, cost) in enumerate(zip(names, costs, strict=True))}


def predict(costs: Mapping[str, float], amounts: Amounts) -> float:
    """Return the seconds of one measurement."""
    return sum(costs[name] * amounts[name] for name in costs)


def left_out(amounts: Sequence[Amounts], seconds: Sequence[float]) -> list[float]:
    """Return predicted over measured for every point, each by costs fitted to the other points."""
    ratios: list[float] = []
    for at in range(len(amounts)):
        costs = fit_costs([*amounts[:at], *amounts[at + 1 :]], [*seconds[:at], *seconds[at + 1 :]])
        ratios.append(predict(costs, amounts[at]) / seconds[at])
    return ratios


def spread(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the median and the largest of `|ratio - 1|`."""
    errors = [abs(ratio - 1) for ratio in ratios]
    return statistics.median(errors), max(errors)
