"""Endless demonstrations for the warm start, made by walking at random, without a solver.

Three random numbers are joined by random legal steps. In half of the demonstrations the target is what the walk
arrived at, so the answer is right; in the other half it is drawn at random, so the answer is nearly always wrong.
The mixture teaches the format and true arithmetic but only half a mind for the target, which leaves a policy
that is uncertain, sometimes right, and improvable: what reinforcement learning needs to start from.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from entrostat.tasks._countdown import Problem
from entrostat.tasks._tokenizer import LARGEST_USEFUL_INTEGER

_NUMBERS: Final = 3
_LARGEST_NUMBER: Final = 10
_LARGEST_TARGET: Final = 50
_HONEST: Final = 0.5
_OPERATORS: Final = "+-*/"
_WEIGHTS: Final = (4, 4, 2, 1)


class Demonstration(NamedTuple):
    """A problem and steps that are true arithmetic; `honest` if they were walked before the target was set."""

    problem: Problem
    response: str
    honest: bool


def demonstrations(seed: int, *, without: Collection[tuple[tuple[int, ...], int]] = ()) -> Iterator[Demonstration]:
    """Yield demonstrations without end, the same ones for the same seed.

    Args:
        seed: Seed of the stream's own random generator.
        without: Keys of problems (`Problem.key`) to leave out, such as the held-out ones.

    Example:
        >>> demonstration = next(demonstrations(seed=3))
        >>> demonstration.problem, demonstration.honest
        (Problem(numbers=(9, 3, 6), target=27), True)
        >>> demonstration.response
        '6 - 3 = 3 ; 9 * 3 = 27'
    """
    rng = random.Random(seed)
    excluded = frozenset(without)
    while True:
        honest = rng.random() < _HONEST
        yield _draw(rng, honest, excluded)


def _draw(rng: random.Random, honest: bool, excluded: frozenset[tuple[tuple[int, ...], int]]) -> Demonstration:
    """Walk until the target is within bounds and the problem is not excluded."""
    while True:
        numbers = tuple(rng.randint(1, _LARGEST_NUMBER) for _ in range(_NUMBERS))
        response, result = _walk(rng, numbers)
        target = result if honest else rng.randint(1, _LARGEST_TARGET)
        problem = Problem(numbers, target)
        if 1 <= target <= _LARGEST_TARGET and problem.key not in excluded:
            return Demonstration(problem, response, honest)


def _walk(rng: random.Random, numbers: tuple[int, ...]) -> tuple[str, int]:
    """Join the numbers by random steps; return the steps and the last result."""
    pool = list(numbers)
    steps: list[str] = []
    while len(pool) > 1:
        left, operator, right, result = _step(rng, pool)
        pool.remove(left)
        pool.remove(right)
        pool.append(result)
        steps.append(f"{left} {operator} {right} = {result}")
    return " ; ".join(steps), pool[0]


def _step(rng: random.Random, pool: list[int]) -> tuple[int, str, int, int]:
    """Draw pairs and operators until a step is legal: an integer result of 0..100."""
    while True:
        left, right = rng.sample(pool, 2)
        (operator,) = rng.choices(_OPERATORS, _WEIGHTS)
        if operator in "-/" and left < right:
            left, right = right, left
        result = _result(left, operator, right)
        if result is not None and result <= LARGEST_USEFUL_INTEGER:
            return left, operator, right, result


def _result(left: int, operator: str, right: int) -> int | None:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left // right if right != 0 and left % right == 0 else None
