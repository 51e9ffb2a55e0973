from __future__ import annotations

import math

import pytest

from entrostat.observe.analysis.statistics import estimate, mean, running_mean, student_t


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (10, 2.2281), (100, 1.9840)]
)
def test_student_t_agrees_with_the_printed_tables(freedom: int, quantile: float) -> None:
    assert student_t(freedom) == pytest.approx(quantile, abs=5e-5)


def test_student_t_of_many_degrees_is_the_normal_quantile() -> None:
    assert student_t(5000) == pytest.approx(1.96, abs=1e-3)


def test_one_seed_has_no_interval() -> None:
    found = estimate([0.5])
    assert found is not None
    assert (found.half, found.low, found.high) == (None, 0.5, 0.5)


def test_what_is_not_finite_or_missing_is_left_out() -> None:
    found = estimate([0.5, None, math.nan, 0.7])
    assert found is not None
    assert (found.mean, found.seeds) == (pytest.approx(0.6), 2)
    assert estimate([None, math.nan]) is None
    assert mean([math.inf]) is None


def test_running_means_cover_full_windows_only() -> None:
    assert running_mean([1.0, 2.0, 3.0, 4.0], 3) == [2.0, 3.0]
    assert running_mean([1.0, 2.0], 3) == []
