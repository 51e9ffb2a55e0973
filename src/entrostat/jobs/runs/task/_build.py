"""The task of a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entrostat.jobs.runs.task._dataset import splits
from entrostat.jobs.runs.task._rewards import reward
from entrostat.jobs.runs.task._task import Problem, Task
from entrostat.jobs.settings import Job
from entrostat.tasks import countdown


def build(job: Job, tokenizer: Any) -> Task:
    """Return the task of a job, read and checked.

    Args:
        job: the job; its `[data]` says what to read.
        tokenizer: the model's, for its chat template; the embedded countdown does without.

    Raises:
        ValueError: there is no such data, column, split or reward, or too little of it for the evaluations.
        OSError: it cannot be read.
        ImportError: the reward needs a package that is not installed.

    Example:
        >>> task = build(Job(), None)
        >>> task.train[0].prompt, len(task.test)
        ('<bos> 6 6 10 > 22 :', 192)
    """
    if not job.data.source:
        return _countdown()
    judge = reward(job.data)
    train, validation, test = splits(job.data, tokenizer)
    _check_sizes(job, validation=validation, test=test)
    return Task(train=train, validation=validation, test=test, reward=judge, correct_from=job.data.correct_from)


def _countdown() -> Task:
    train, validation, test = map(_problems, ("train", "validation", "test"))
    return Task(train=train, validation=validation, test=test, reward=_countdown_reward)


def _problems(split: countdown.Split) -> list[Problem]:
    return [Problem(prompt=countdown.prompt(one), target=one.target, source=one) for one in countdown.load(split)]


def _countdown_reward(problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
    return [countdown.score(problem.source, text) for problem, text in zip(problems, texts, strict=True)]


def _check_sizes(job: Job, **held_out: Sequence[Problem]) -> None:
    """Refuse evaluations on no problems at all; on fewer than asked for they say how many they used."""
    for split, problems in held_out.items():
        if getattr(job.evaluation, split) and not problems:
            raise ValueError(
                f"the data has no problem left for the {split} split, and `{split}` in [evaluation] asks for some. "
                f"Set it to 0, raise `held_out`, or give more rows."
            )
