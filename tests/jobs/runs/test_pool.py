"""What `run.json` says of the runs of a job that is stopped and goes on, so that whoever watches is not misled."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrostat.jobs.runs import JobDirectory, _pool
from entrostat.jobs.settings import Job


def test_a_stopped_job_leaves_no_run_waiting_and_a_resumed_one_none_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = Job(seeds=(0, 1)).with_recipes(["none", "aent"])
    directory = JobDirectory(tmp_path / "out")
    directory.create(job)
    told: list[set[str]] = []

    def stop(runs: list[_pool.Running], *_: object) -> None:
        told.append({run.directory.info()["status"] for run in runs})
        raise KeyboardInterrupt

    monkeypatch.setattr(_pool, "_start_some", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            _pool.run_job(job, directory)
        kept = [directory.run(recipe, seed).info()["status"] for recipe in job.recipes for seed in job.seeds]
        assert set(kept) == {"stopped"}
    assert told == [{"waiting"}, {"waiting"}]
