"""Curves as columns: over seeds, smoothed, thinned, packed."""

from __future__ import annotations

import math

import pytest

from entrostat.observe.report._curves import Curve, corners, curve, over_seeds, packed, smoothed, thinned


def points(found: Curve) -> list[tuple[int, float]]:
    return list(zip(found.steps.tolist(), found.values.tolist(), strict=True))


def test_values_that_are_not_finite_are_left_out() -> None:
    assert points(curve([1, 2, 3], [0.5, math.nan, math.inf])) == [(1, 0.5)]


@pytest.mark.parametrize("length", range(8))
@pytest.mark.parametrize("window", [1, 3, 5, 21])
def test_smoothing_is_the_mean_of_the_neighbours_there_are(length: int, window: int) -> None:
    values = [float(i * i % 7) for i in range(length)]
    half = window // 2
    near = [values[max(0, i - half) : i + half + 1] for i in range(length)]
    means = [sum(some) / len(some) for some in near]
    assert smoothed(curve(range(length), values), window).values.tolist() == pytest.approx(means)


def test_smoothing_keeps_length_and_constants_and_does_not_shift() -> None:
    assert points(smoothed(curve(range(7), [2.0] * 7), 5)) == [(step, 2.0) for step in range(7)]
    ramp = [float(i) for i in range(20)]
    assert smoothed(curve(range(20), ramp), 5).values.tolist()[2:-2] == pytest.approx(ramp[2:-2])


def test_medians_take_the_seeds_that_have_the_step() -> None:
    seeds = [curve([1, 2], [1.0, 5.0]), curve([1], [3.0]), curve([1, 2], [8.0, 7.0])]
    assert points(over_seeds(seeds, 0.5)) == [(1, 3.0), (2, 6.0)]
    assert points(over_seeds(seeds, 0.25, least=3)) == [(1, 2.0)]
    assert points(over_seeds([curve([2], [1.0]), curve([1], [3.0])], 0.5)) == [(1, 3.0), (2, 1.0)]


def test_thinning_keeps_ends_and_every_spike() -> None:
    values = [1.0] * 10_000
    values[4321], values[8765] = 9.0, -9.0
    kept = points(thinned(curve(range(1, 10_001), values), limit=1500))
    assert len(kept) <= 1502
    assert {(1, 1.0), (10_000, 1.0), (4322, 9.0), (8766, -9.0)} <= set(kept)
    assert kept == sorted(kept)


def test_packing_names_an_even_distance_once() -> None:
    assert packed(curve([10, 20, 30], [0.123456, 1.0, 2.0])) == {"x0": 10, "dx": 10, "y": [0.1235, 1.0, 2.0]}
    assert packed(curve([1, 2, 9], [1.0, 1.0, 1.0]))["gaps"] == [1, 7]


def test_a_band_keeps_only_its_corners() -> None:
    low = curve(range(1, 100), [0.2] * 99)
    high = curve(range(1, 100), [0.3 if step < 50 else 0.4 for step in range(1, 100)])
    outline = corners(low).then(corners(high).backwards())
    assert points(outline) == [(1, 0.2), (99, 0.2), (99, 0.4), (50, 0.4), (49, 0.3), (1, 0.3)]
    assert [points(corners(curve(range(n), [1.0] * n))) for n in (1, 2)] == [[(0, 1.0)], [(0, 1.0), (1, 1.0)]]
