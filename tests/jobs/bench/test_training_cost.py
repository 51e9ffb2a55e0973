"""The benchmark of whole trainings: what it makes of the figures of its processes."""

from __future__ import annotations

from typing import Any

import pytest

from ...scripts import benchmark

training_cost = benchmark("training_cost")


def figures(seconds: float, peak: int) -> dict[str, Any]:
    return {"seconds": seconds, "peak_bytes": peak, "trace": []}


def test_a_round_is_compared_with_its_own_baseline() -> None:
    fast = {line: figures(1.0, 4 << 30) for line in training_cost.LINES} | {"aent": figures(1.1, 5 << 30)}
    slow = {line: figures(3.0, 4 << 30) for line in training_cost.LINES} | {"aent": figures(3.6, 5 << 30)}
    rows = {row["line"]: row for row in training_cost.compare([fast, slow, slow])}
    assert rows["none"]["step_ratio"] == "1.000"
    found = [rows["aent"][name] for name in ("step_ratio", "step_ratio_lowest", "step_ratio_highest", "peak_ratio")]
    assert found == ["1.200", "1.100", "1.200", "1.250"]


@pytest.mark.parametrize(
    ("row", "coef"),
    [({"entropy_control/coef": 0.02}, 0.02), ({"entropy_coef": 0.005}, 0.005), ({}, 0.0)],
)
def test_each_trainer_s_coefficient_is_found(row: dict[str, float], coef: float) -> None:
    assert training_cost.traced(row | {"step": 3, "entropy": 0.4})["coef"] == coef


def test_the_last_line_of_a_log_is_no_step() -> None:
    assert training_cost.traced({"train_runtime": 3.0, "step": 40}) == {}
