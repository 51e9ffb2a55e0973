"""The reward that a job names: `exact`, `math`, or a function of the user's own."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from entrostat.errors import sentence
from entrostat.jobs.runs.task._task import Problem
from entrostat.jobs.settings import DataJob


def reward(data: DataJob) -> Callable[[Sequence[Problem], Sequence[str]], Sequence[float]]:
    """Return the reward; raises `ImportError` or `ValueError` if there is none of that name."""
    function = _named(data.reward)

    def judge(problems: Sequence[Problem], texts: Sequence[str]) -> Sequence[float]:
        # Rows of a JSON file need not all have the same columns.
        names = dict.fromkeys(name for problem in problems for name in problem.source)
        columns = {name: [problem.source.get(name) for problem in problems] for name in names}
        columns["prompts"] = [problem.prompt for problem in problems]
        try:
            return list(function(**columns, completions=list(texts)))
        except Exception as error:  # the function is the user's: it may raise anything
            raise RuntimeError(f"the reward {data.reward!r} failed with {type(error).__name__}: {error}") from error

    return judge


def _named(name: str) -> Callable[..., Any]:
    from entrostat.tasks import rewards

    if name == "exact":
        return rewards.exact
    if name == "math":
        if importlib.util.find_spec("math_verify") is None:
            raise ImportError("the reward 'math' needs math-verify. Run: pip install 'entrostat[math]'")
        return rewards.math
    return _imported(name)


def _imported(path: str) -> Callable[..., Any]:
    """Return the function of a dotted path; its module may lie in the current directory."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module is the user's: it may raise anything
        why = f"{type(error).__name__}: {error}"
        raise ValueError(
            sentence("reward", "be `math`, `exact` or a function that can be imported", path, why)
        ) from None
    if not callable(function):
        raise ValueError(sentence("reward", "be a function", path))
    return function
