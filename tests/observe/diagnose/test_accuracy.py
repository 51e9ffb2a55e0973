"""The accuracy table is made from runs whose failures are known: it must hold on fresh seeds and on the real runs."""

from __future__ import annotations

import pytest

from ...scripts import benchmark

accuracy = benchmark("diagnose_accuracy")


@pytest.mark.parametrize("story", accuracy.STORIES)
def test_what_was_built_in_is_found_and_little_else(story: str) -> None:
    truth = accuracy.STORIES[story][3]
    said = [accuracy.found(accuracy.simulate(story, seed)) for seed in range(1000, 1020)]
    assert sum(truth <= kinds for kinds in said) >= 19
    assert sum(bool(kinds - truth) for kinds in said) <= 3


def test_the_real_runs_failures_are_all_found() -> None:
    cases = accuracy.real_cases()
    assert len(cases) == 24
    assert [name for name, truth, said in cases if not truth <= said] == []
