"""pass@k is a count over subsets, and unbiased."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.tasks import pass_at_k


@pytest.mark.parametrize("samples", range(1, 7))
def test_it_is_the_share_of_subsets_with_a_right_answer(samples: int) -> None:
    for correct, k in itertools.product(range(samples + 1), range(1, samples + 1)):
        answers = [1] * correct + [0] * (samples - correct)
        subsets = list(itertools.combinations(answers, k))
        share = sum(map(any, subsets)) / len(subsets)
        assert pass_at_k([correct], samples=samples, k=k).mean == pytest.approx(share, abs=1e-15)


@given(p=st.floats(0, 1), samples=st.integers(1, 20), data=st.data())
def test_it_is_unbiased(p: float, samples: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, samples))
    expectation = sum(
        math.comb(samples, c) * p**c * (1 - p) ** (samples - c) * pass_at_k([c], samples=samples, k=k).mean
        for c in range(samples + 1)
    )
    assert expectation == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


def test_large_counts_are_exact_enough() -> None:
    # 1 - C(9999, 5000) / C(10000, 5000) = 1 - 5000/10000, through integers of three thousand digits
    assert pass_at_k([1], samples=10_000, k=5_000).mean == 0.5


def test_the_mean_and_its_error_are_over_problems() -> None:
    correct = [0, 1, 4, 16, 7]
    values = [pass_at_k([c], samples=16, k=4).mean for c in correct]
    estimate = pass_at_k(correct, samples=16, k=4)
    assert estimate.mean == pytest.approx(statistics.mean(values))
    assert estimate.stderr == pytest.approx(statistics.stdev(values) / math.sqrt(5))
    assert math.isnan(pass_at_k([3], samples=4, k=1).stderr)


@pytest.mark.parametrize(
    ("correct", "samples", "k", "error", "message"),
    [
        ([1], 4, 5, ValueError, "`k` must be at most samples=4, got k=5"),
        ([1], 4, 0, ValueError, "`k` must be at least 1"),
        ([5], 4, 1, ValueError, "`correct` must be at most samples=4, got correct=5"),
        ([-1], 4, 1, ValueError, "`correct` must be at least 0"),
        ([], 4, 1, ValueError, "`correct` must hold at least one problem"),
        ([0.5], 4, 1, TypeError, "`correct` must be an integer"),
        ([1], 0, 1, ValueError, "`samples` must be at least 1"),
    ],
)
def test_impossible_counts_are_rejected(correct, samples, k, error, message) -> None:
    with pytest.raises(error, match=message):
        pass_at_k(correct, samples=samples, k=k)
