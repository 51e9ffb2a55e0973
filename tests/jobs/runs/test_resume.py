"""A run that was killed or stopped goes on exactly as if nothing had happened: through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

JOB = """
steps = 10
workers = 1
[train]
prompts = 4
generations = 4
save_every = 2
[evaluation]
every = 4
validation = 3
test = 2
samples = 2
[[recipes]]
name = "aent"
[recipes.parameters]
clamp = 0.9
low = 0.6
high = 0.7
initial = 0.1
rate = 0.2
floor = 0.0
ceiling = 2.0
warmup = 1
anneal = 0.3
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "entrostat", "run", *map(str, arguments)]


def resume(out: Path) -> None:
    done = subprocess.run(command("--resume", "--out", out), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def records(out: Path) -> list[dict[str, Any]]:
    lines = (out / "runs" / "aent-seed0" / "records.jsonl").read_text().splitlines()
    parsed = [json.loads(line) for line in lines]
    for record in parsed:
        record.pop("seconds", None)
    return parsed


def answers(out: Path) -> list[str]:
    return [(out / "runs" / "aent-seed0" / name).read_text() for name in ("samples.jsonl", "tokens.jsonl")]


def wait_for_step(out: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be interrupted"
        path = out / "runs" / "aent-seed0" / "records.jsonl"
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        time.sleep(0.02)
    pytest.fail("the run did not get there in time")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("job") / "job.toml"
    path.write_text(JOB)
    return path


@pytest.fixture(scope="module")
def straight(job: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "out"
    subprocess.run(command(job, "--out", out), check=True, capture_output=True, timeout=300)
    return out


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_an_ended_run_continues_with_the_same_numbers(job: Path, straight: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    screen = tmp_path / "screen.txt"
    with screen.open("wb") as file:
        # A shell that runs this suite in the background has it ignore Ctrl-C, and so would its children.
        process = subprocess.Popen(
            command(job, "--out", out), stdout=file, stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    wait_for_step(out, 5, process)
    if how == "killed":
        # The worker first, or it would notice that its parent is gone and stop in order.
        worker = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
        for pid in worker:
            os.kill(int(pid), signal.SIGKILL)
        process.kill()
        process.wait()
    else:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
        assert json.loads((out / "runs" / "aent-seed0" / "run.json").read_text())["status"] == "stopped"
        assert "--resume" in screen.read_text()
        assert (out / "report.html").exists()

    reached = max(record["step"] for record in records(out))
    assert reached < 10, "the interruption came too late to test anything"
    resume(out)
    assert records(out) == records(straight)
    assert answers(out) == answers(straight)


@pytest.mark.slow
@pytest.mark.train
def test_resuming_a_finished_job_changes_nothing(straight: Path) -> None:
    before = records(straight)
    subprocess.run(command("--resume", "--out", straight), check=True, capture_output=True, timeout=300)
    assert records(straight) == before


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("file", ["entrostat_state.json", "model.safetensors"])
def test_a_damaged_checkpoint_is_named_and_nothing_is_lost(straight: Path, tmp_path: Path, file: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(straight, out)
    run = out / "runs" / "aent-seed0"
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "status": "stopped"}))
    newest = max((run / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    (newest / file).write_bytes((newest / file).read_bytes()[:40])
    before = records(out)
    resumed = subprocess.run(command("--resume", "--out", out), capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 2
    sentence = resumed.stderr.splitlines()[0]
    assert sentence.startswith("error: aent seed 0: ")
    assert "Traceback" not in resumed.stderr
    if file.endswith("json"):
        assert "is damaged" in sentence
    assert records(out) == before
