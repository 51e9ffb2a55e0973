"""Pictures in text say what the numbers say, at their edges too."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.observe.screen import Area, Canvas, Line, gauge, place, plot, spark

NUMBERS = st.floats(min_value=-1e6, max_value=1e6)


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans())
def test_the_mark_stands_where_the_value_is(value: float, one: float, other: float, plain: bool) -> None:
    low, high = sorted((one, other))
    drawn = gauge(value, low, high, plain=plain)
    at = drawn.index("o" if plain else "●")
    assert len(drawn) == 9
    assert place(value, low, high) == ("below" if at < 2 else "above" if at > 6 else "in")


def test_a_value_that_is_none_leaves_the_gauge_empty() -> None:
    assert gauge(math.nan, 0.2, 0.4) == "╌╌[╌╌╌]╌╌"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=200), st.integers(1, 30), st.booleans())
def test_a_spark_line_fits_and_never_fails(values: list[float], width: int, plain: bool) -> None:
    finite = [value for value in values if math.isfinite(value)]
    drawn = spark(values, width, plain=plain)
    assert len(drawn) == min(len(finite), width)
    assert not plain or drawn.isascii()


def test_a_collapse_to_a_tenth_is_seen_as_one() -> None:
    drawn = spark([0.5] * 50 + [0.05] * 50, 10)
    assert drawn == "█████▁▁▁▁▁"


def test_every_dot_of_the_canvas_has_its_place() -> None:
    seen = set()
    for x in range(2):
        for y in range(4):
            canvas = Canvas(1, 1)
            canvas.dot(x, y)
            seen.add(canvas.rows()[0])
    assert len(seen) == 8
    canvas = Canvas(1, 1)
    canvas.dot(2, 0)
    canvas.dot(0, -1)
    assert canvas.rows() == [" "]


def test_a_plot_has_its_size_its_scale_and_its_colours() -> None:
    falling = Line(points=[(0, 0.8), (50, 0.2), (100, 0.2)], style="cyan")
    band = Area(low=[(1, 0.1), (100, 0.1)], high=[(1, 0.4), (100, 0.4)])
    rows = plot([falling], width=40, height=6, last=100, area=band)
    assert len(rows) == 7
    assert all(len(row.plain) <= 40 for row in rows)
    assert (rows[0].plain.split()[0], rows[5].plain.split()[0]) == ("0.8", "0")
    assert rows[6].plain.split() == ["0", "100"]
    styles = {str(span.style) for row in rows for span in row.spans}
    assert {"cyan", "dim"} <= styles


@pytest.mark.parametrize(
    "points", [[], [(3, math.nan)], [(0, 0.0)], [(5, -0.3), (6, 0.2)], [(10**6, 1e300)], [(1, -1.7e308), (2, 1.7e308)]]
)
def test_a_plot_of_next_to_nothing(points: list[tuple[int, float]]) -> None:
    for width, height, last in ((1, 1, 0), (40, 5, 10)):
        rows = plot([Line(points=points)], width=width, height=height, last=last, area=Area(low=[], high=[]))
        assert len(rows) == height + 1
