"""Running a job: one process per run, one directory per run, and nothing lost when either is killed."""

from entrostat.jobs.runs._directory import JobDirectory as JobDirectory
from entrostat.jobs.runs._directory import RunDirectory as RunDirectory
from entrostat.jobs.runs._directory import run_directories as run_directories
from entrostat.jobs.runs._dry_run import dry_run as dry_run
from entrostat.jobs.runs._pool import run_job as run_job

__all__ = ["JobDirectory", "RunDirectory", "dry_run", "run_directories", "run_job"]
