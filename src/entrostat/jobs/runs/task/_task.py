"""A task: problems to train on and to be judged by, and what a response to one of them is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrostat.errors import sentence


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem.

    Args:
        prompt: the text the model continues.
        target: what it is to reach, as it is kept beside the responses.
        source: what the reward needs to know of it.
    """

    prompt: str
    target: Any
    source: Any = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """Problems and their reward.

    Args:
        train: problems to train on.
        validation: those the evaluations on the way use.
        test: those the first and the last evaluation use.
        reward: rewards of responses, given each one's problem and text.
        correct_from: reward from which a response counts as correct.
    """

    train: Sequence[Problem] = field(repr=False)
    validation: Sequence[Problem] = field(repr=False)
    test: Sequence[Problem] = field(repr=False)
    reward: Callable[[Sequence[Problem], Sequence[str]], Sequence[float]]
    correct_from: float = 1.0

    def split(self, name: str, count: int) -> Sequence[Problem]:
        """Return the first problems of `validation` or `test`."""
        problems: Sequence[Problem] = {"validation": self.validation, "test": self.test}[name]
        return problems[:count]

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Return one finite reward per response; raises `ValueError` if the reward gives anything else."""
        rewards = list(self.reward(problems, texts))
        if len(rewards) != len(texts):
            raise ValueError(sentence("reward", f"give {len(texts)} numbers for as many responses", len(rewards)))
        for value in rewards:
            if not math.isfinite(_number(value)):
                raise ValueError(sentence("reward", "give finite numbers", value))
        return [float(value) for value in rewards]

    def correct(self, rewards: Sequence[float]) -> int:
        """Return how many responses count as correct."""
        return sum(reward >= self.correct_from for reward in rewards)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(sentence("reward", "give finite numbers", value)) from None
