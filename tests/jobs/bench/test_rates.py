"""Rates fitted to times."""

from __future__ import annotations

import pytest

from entrostat.jobs.bench._rates import fit_costs, left_out, predict, spread

AMOUNTS = [{"work": float(a), "calls": float(b)} for a, b in ((1, 4), (2, 1), (5, 3), (7, 9), (20, 2))]


def test_exact_times_give_the_costs_back_in_any_unit() -> None:
    seconds = [3e-9 * row["work"] + 2e-6 * row["calls"] for row in AMOUNTS]
    costs = fit_costs(AMOUNTS, seconds)
    assert costs == pytest.approx({"work": 3e-9, "calls": 2e-6}, rel=1e-6)
    assert left_out(AMOUNTS, seconds) == pytest.approx([1.0] * 5, rel=1e-6)


def test_no_cost_is_negative() -> None:
    seconds = [row["work"] - 0.1 * row["calls"] for row in AMOUNTS]
    costs = fit_costs(AMOUNTS, seconds)
    assert costs["calls"] == 0
    assert predict(costs, {"work": 1, "calls": 1e9}) == costs["work"] > 0


def test_a_point_is_judged_by_the_others() -> None:
    amounts = [{"work": 1.0}, {"work": 1.0}, {"work": 1.0}]
    assert left_out(amounts, [1.0, 1.0, 2.0])[2] == pytest.approx(0.5)
    assert spread([0.5, 1.1, 1.0]) == pytest.approx((0.1, 0.5))
