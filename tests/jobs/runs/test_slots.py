"""Runs that go on at a time have a slot each, and on a machine with several GPUs a GPU each."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl")

import torch

from entrostat.jobs.runs import JobDirectory, _pool
from entrostat.jobs.runs.worker import keep_to_one_gpu
from entrostat.jobs.settings import Job


@pytest.mark.parametrize(
    ("number", "visible", "slot", "left"),
    [(4, None, 2, "2"), (4, None, 6, "2"), (2, "5,3", 1, "3"), (1, "5", 1, "5"), (0, None, 1, None)],
)
def test_a_run_sees_the_gpu_of_its_slot(
    monkeypatch: pytest.MonkeyPatch, number: int, visible: str | None, slot: int, left: str | None
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    keep_to_one_gpu(slot)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == left


def test_slots_are_taken_again_when_a_run_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Any] = []

    def start(command: list[str], **_: Any) -> Any:
        started.append(SimpleNamespace(command=command, code=None, poll=lambda: started[at].code, returncode=0))
        at = len(started) - 1
        return started[-1]

    def end_the_second(runs: list[Any]) -> None:
        for run, process in zip(runs, started, strict=False):
            ends = process is not started[0] or len(started) == 3
            process.code = 0 if ends else None
            run.directory.update(status="done" if ends else "running")

    monkeypatch.setattr(_pool.subprocess, "Popen", start)
    monkeypatch.setattr(_pool.time, "sleep", lambda seconds: None)
    job = Job(workers=2, seeds=(0, 1, 2)).with_recipes(["none"])
    directory = JobDirectory(tmp_path / "out")
    directory.create(job)
    _pool.run_job(job, directory, on_look=end_the_second)
    assert [process.command[-2:] for process in started] == [["--slot", "0"], ["--slot", "1"], ["--slot", "1"]]
