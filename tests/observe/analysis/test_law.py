from __future__ import annotations

import math
import random

import pytest

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.law import Law, NoLaw, fit_law


def run(
    a: float = 0.2, b: float = 0.9, noise: float = 0.02, alike: float = 0.0, seed: int = 0, steps: int = 200
) -> Curves:
    dice = random.Random(seed)
    entropy = [(s, 1.2 * 0.985**s + 0.15) for s in range(1, steps + 1)]
    error, reward = 0.0, []
    for s, h in entropy:
        error = alike * error + math.sqrt(1 - alike**2) * dice.gauss(0, noise)
        reward.append((s, b - a * math.exp(h) + error))
    return Curves(name="made", values={"entropy": entropy, "reward": reward})


def test_the_laws_own_numbers_are_found() -> None:
    law = fit_law(run(noise=1e-9))
    assert isinstance(law, Law)
    assert (law.a, law.b, law.ceiling) == (pytest.approx(0.2), pytest.approx(0.9), pytest.approx(0.7))
    assert law.at(0.0) == pytest.approx(law.ceiling)
    assert law.explained == pytest.approx(1.0)


@pytest.mark.parametrize(("alike", "least"), [(0.0, 0.92), (0.8, 0.88)])
def test_the_interval_holds_the_ceiling_about_as_often_as_it_says(alike: float, least: float) -> None:
    laws = [fit_law(run(alike=alike, seed=seed)) for seed in range(200)]
    inside = [isinstance(law, Law) and abs(law.ceiling - 0.7) <= law.half for law in laws]
    assert least <= sum(inside) / len(inside) <= 1.0


def entropies(values: list[float], reward: list[float] | None = None) -> Curves:
    series = {"entropy": list(enumerate(values, start=1))}
    if reward is not None:
        series["reward"] = list(enumerate(reward, start=1))
    return Curves(name="made", values=series)


FALLING = [1 - 0.01 * s for s in range(60)]


@pytest.mark.parametrize(
    ("curves", "says"),
    [
        (entropies(FALLING), "neither reward nor accuracy"),
        (entropies(FALLING[:5], [0.1] * 5), "only 5 points"),
        (entropies([0.5] * 60, FALLING), "entropy hardly moved"),
        (entropies(FALLING, [0.5] * 60), "never changed"),
        (entropies(FALLING, FALLING), "did not clearly rise"),
        (entropies([0.2] * 30 + [2.0] * 30, FALLING), "entropy exploded"),
        (entropies([1.0 + 0.005 * s for s in range(60)], FALLING), "entropy rose"),
        (entropies([90.0 - s for s in range(60)], FALLING), "not in nats per token"),
    ],
)
def test_where_the_law_cannot_be_fitted_it_says_why(curves: Curves, says: str) -> None:
    law = fit_law(curves)
    assert isinstance(law, NoLaw)
    assert says in law.reason


def test_accuracy_is_preferred_where_there_is_enough_of_it() -> None:
    entropy = [(s, 1.2 - 0.005 * s) for s in range(1, 201)]
    accuracy = [(s, 0.8 - 0.1 * math.exp(1.2 - 0.005 * s)) for s in range(0, 201, 20)]
    law = fit_law(Curves(name="a", values={"entropy": entropy, "accuracy": accuracy, "reward": [(1, 0.0), (2, 0.1)]}))
    assert isinstance(law, Law)
    assert (law.performance, law.points) == ("accuracy", 11)
    assert law.ceiling == pytest.approx(0.7, abs=0.01)
