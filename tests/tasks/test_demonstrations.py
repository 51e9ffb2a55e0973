"""Demonstrations are true arithmetic; the honest ones are right."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from entrostat.tasks import Demonstration, countdown, demonstrations


@pytest.fixture(scope="module")
def many() -> list[Demonstration]:
    return list(itertools.islice(demonstrations(seed=0), 5000))


def test_honest_demonstrations_score_one(many) -> None:
    assert all(countdown.score(d.problem, d.response) == 1.0 for d in many if d.honest)


def test_the_others_are_true_arithmetic_over_the_given_numbers_and_seldom_right(many) -> None:
    others = [d for d in many if not d.honest]
    assert all(countdown.replay(d.response) is not None for d in others)
    for d in others:
        claimed = int(d.response.split()[-1])
        right = countdown.score(countdown.Problem(d.problem.numbers, claimed), d.response)
        assert right == 1.0
    assert 0 < sum(countdown.score(d.problem, d.response) for d in others) < 0.1 * len(others)


def test_half_are_honest(many) -> None:
    # Five standard deviations of 5000 fair coins.
    assert abs(sum(d.honest for d in many) / len(many) - 0.5) < 5 * 0.5 / 5000**0.5


def test_problems_stay_within_the_bounds_of_the_task(many) -> None:
    assert {number for d in many for number in d.problem.numbers} == set(range(1, 11))
    assert {d.problem.target for d in many} == set(range(1, 51))


def test_additions_and_subtractions_are_favoured(many) -> None:
    operators = Counter(word for d in many for word in d.response.split() if word in "+-*/")
    assert operators["-"] > operators["*"] > operators["/"] > 0
    assert operators["+"] > operators["*"]


def test_a_stream_is_its_seed(many) -> None:
    assert list(itertools.islice(demonstrations(seed=0), 50)) == many[:50]
    assert list(itertools.islice(demonstrations(seed=1), 50)) != many[:50]


def test_excluded_problems_do_not_occur(many) -> None:
    seen = {d.problem.key for d in many[:2000]}
    without = {key for key in seen if key[1] % 2}
    again = itertools.islice(demonstrations(seed=0, without=without), 2000)
    assert not without & {d.problem.key for d in again}
