from __future__ import annotations

import math

import pytest

from entrostat.observe.analysis.statistics import estimate, mean, medians, running_mean, smoothed, student_t
from entrostat.observe.report._lines import outline, packed, thinned


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


@pytest.mark.parametrize("length", range(8))
@pytest.mark.parametrize("window", [1, 3, 5, 21])
def test_smoothing_is_the_mean_of_the_neighbours_there_are(length: int, window: int) -> None:
    values = [float(i * i % 7) for i in range(length)]
    half = window // 2
    means = [mean(values[max(0, i - half) : i + half + 1]) for i in range(length)]
    assert smoothed(values, window) == pytest.approx(means)


def test_smoothing_keeps_length_and_constants_and_does_not_shift() -> None:
    assert smoothed([2.0] * 7, 5) == [2.0] * 7
    ramp = [float(i) for i in range(20)]
    assert smoothed(ramp, 5)[2:-2] == pytest.approx(ramp[2:-2])


def test_medians_take_the_seeds_that_have_the_step() -> None:
    seeds = [[(1, 1.0), (2, 5.0)], [(1, 3.0)], [(1, 8.0), (2, 7.0)]]
    assert medians(seeds) == [(1, 3.0), (2, 6.0)]


def test_thinning_keeps_ends_and_every_spike() -> None:
    points = [(step, 1.0) for step in range(1, 10_001)]
    points[4321], points[8765] = (4322, 9.0), (8766, -9.0)
    kept = thinned(points, limit=1500)
    assert len(kept) <= 1502
    assert {points[0], points[-1], (4322, 9.0), (8766, -9.0)} <= set(kept)
    assert kept == sorted(kept)


def test_packing_names_an_even_distance_once() -> None:
    assert packed([(10, 0.123456), (20, 1.0), (30, 2.0)]) == {"x0": 10, "dx": 10, "y": [0.1235, 1.0, 2.0]}
    assert packed([(1, 1.0), (2, 1.0), (9, 1.0)])["gaps"] == [1, 7]


def test_a_band_keeps_only_its_corners() -> None:
    low = [(step, 0.2) for step in range(1, 100)]
    high = [(step, 0.3 if step < 50 else 0.4) for step in range(1, 100)]
    assert outline(low, high) == [(1, 0.2), (99, 0.2), (99, 0.4), (50, 0.4), (49, 0.3), (1, 0.3)]
