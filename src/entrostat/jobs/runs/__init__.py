"""Running a job: one process per run, one directory per run, and nothing lost when either is killed."""

from entrostat.jobs.runs._directory import JobDirectory as JobDirectory
from entrostat.jobs.runs._directory import RunDirectory as RunDirectory
from entrostat.jobs.runs._directory import run_directories as run_directories
from entrostat.jobs.runs._dry_run import DryRun as DryRun
from entrostat.jobs.runs._dry_run import dry_run as dry_run
from entrostat.jobs.runs._pool import run_job as run_job
from entrostat.jobs.runs._screen import Progress as Progress
from entrostat.jobs.runs._screen import summary as summary
from entrostat.jobs.runs._task import Problem as Problem
from entrostat.jobs.runs._task import Task as Task
from entrostat.jobs.runs._task import build_task as build_task
from entrostat.jobs.runs._task import countdown_task as countdown_task
from entrostat.jobs.runs._trackers import require_trackers as require_trackers
from entrostat.jobs.runs._trainer import load_tokenizer as load_tokenizer

__all__ = [
    "DryRun",
    "JobDirectory",
    "Problem",
    "Progress",
    "RunDirectory",
    "Task",
    "build_task",
    "countdown_task",
    "dry_run",
    "load_tokenizer",
    "require_trackers",
    "run_directories",
    "run_job",
    "summary",
]
