"""What a run trains on: the embedded countdown, or a dataset of the user's own with a reward.

`build` reads everything and checks it; whatever it refuses, it refuses in one sentence.
"""

from entrostat.jobs.runs.task._build import build as build
from entrostat.jobs.runs.task._read import UnreachableError as UnreachableError
from entrostat.jobs.runs.task._task import Problem as Problem
from entrostat.jobs.runs.task._task import Task as Task

__all__ = ["Problem", "Task", "UnreachableError", "build"]
