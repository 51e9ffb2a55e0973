"""Two ranks that were killed go on as if nothing had happened; what one of them cannot read, all of them refuse."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat.integrations.host import STATE_FILE
from entrostat.integrations.trl._checkpoint import rollouts_file

from .resume_script import STEPS, log_file
from .test_launch import LAUNCH
from .test_resume import IN_A_ROLLOUT, SCRIPT, entries, prepared

KILLED_AT = 4
"""In the middle of the third rollout batch."""

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda folder: (folder / rollouts_file(1)).unlink(), "has lost its .*_rank1.pt"),
    "truncated": (lambda folder: os.truncate(folder / rollouts_file(1), 100), "_rank1.pt is damaged"),
    "of the other rank": (
        lambda folder: shutil.copy(folder / rollouts_file(0), folder / rollouts_file(1)),
        "_rank1.pt is damaged",
    ),
    "a bit changed": (lambda folder: flip(folder / rollouts_file(1)), "^rank 1: .*_rank1.pt is damaged or of another"),
    "random numbers lost": (lambda folder: (folder / "rng_state_1.pth").unlink(), "has lost its rng_state_1.pth"),
    "state cut short": (lambda folder: os.truncate(folder / STATE_FILE, 30), "entrostat_state.json is damaged"),
}
"""What happens to one file of a checkpoint, and what both ranks say then. Only rank 1 can see the changed bit."""


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def start(out: Path, *checkpoints: Path) -> subprocess.Popen[str]:
    command = [sys.executable, *LAUNCH, str(SCRIPT), str(out), *map(str, checkpoints)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> None:
    """End the launcher and its ranks at once: the launcher first, or it would end the second rank in order."""
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    for pid in (process.pid, *map(int, ranks)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end; ranks that wait for each other are a failure."""
    try:
        _, said = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    assert process.returncode == 0, said[-9000:]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = prepared(tmp_path_factory.mktemp("straight"))
    finish(start(out))
    coefs = [entry["entropy_control/coef"] for entry in entries(out)[:STEPS]]
    assert len(set(coefs)) > STEPS // 2, "the coefficient is meant to move in these tests"
    return out


@pytest.mark.slow
@pytest.mark.train
def test_killed_in_the_middle_of_a_rollout_batch(straight: Path, tmp_path: Path) -> None:
    out = prepared(tmp_path)
    process = start(out)
    try:
        deadline = time.monotonic() + 300
        while not (out / log_file(1)).exists() or len(entries(out, 1)) < KILLED_AT + 1:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "the run did not get there in time"
            time.sleep(0.01)
    finally:
        kill(process)
    checkpoint = out / f"checkpoint-{KILLED_AT}"
    assert (checkpoint / rollouts_file(1)).exists()
    for rank in (0, 1):
        killed = entries(out, rank)
        assert killed == entries(straight, rank)[: len(killed)]
        (out / log_file(rank)).unlink()

    finish(start(out, checkpoint))
    for rank in (0, 1):
        after = [entry for entry in entries(straight, rank) if entry["step"] > KILLED_AT or "epoch" not in entry]
        assert entries(out, rank) == after
    last = [folder / f"checkpoint-{STEPS}" / "model.safetensors" for folder in (straight, out)]
    assert last[0].read_bytes() == last[1].read_bytes()


@pytest.mark.slow
@pytest.mark.train
def test_what_one_rank_cannot_read_every_rank_refuses(straight: Path, tmp_path: Path) -> None:
    out = prepared(tmp_path)
    copies: list[Path] = []
    for name, (damage, _) in DAMAGES.items():
        copies.append(Path(shutil.copytree(straight / f"checkpoint-{IN_A_ROLLOUT}", tmp_path / name / "checkpoint-2")))
        damage(copies[-1])
    finish(start(out, *copies))
    first, second = (json.loads((out / f"refusals{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    for (_, says), said in zip(DAMAGES.values(), first, strict=True):
        assert re.search(says, said), said
    assert not (out / log_file(0)).exists(), "it is refused before a step is made"
