"""A job: everything `entrostat run` needs to know, as frozen values. `Job()` is the embedded default job.

A TOML file overrides any of it, under the same names:

    steps = 180
    seeds = [0, 1, 2]

    [train]
    learning_rate = 3e-4

    [data]
    source = "questions.jsonl"
    reward = "math"

    [[recipes]]
    label = "aent-tight"
    name = "aent"
    parameters = { keep = 31, low = 0.25, high = 0.35 }

Whoever names recipes in a file gets those and no others.
"""

from entrostat.jobs.settings._data import DataJob as DataJob
from entrostat.jobs.settings._evaluation import EvaluationJob as EvaluationJob
from entrostat.jobs.settings._job import TRACKERS as TRACKERS
from entrostat.jobs.settings._job import Job as Job
from entrostat.jobs.settings._job import needs as needs
from entrostat.jobs.settings._recipe import RecipeJob as RecipeJob
from entrostat.jobs.settings._table import from_table as from_table
from entrostat.jobs.settings._table import load as load
from entrostat.jobs.settings._table import to_table as to_table
from entrostat.jobs.settings._train import TrainJob as TrainJob

__all__ = [
    "TRACKERS",
    "DataJob",
    "EvaluationJob",
    "Job",
    "RecipeJob",
    "TrainJob",
    "from_table",
    "load",
    "needs",
    "to_table",
]
