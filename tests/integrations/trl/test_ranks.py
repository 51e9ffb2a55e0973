"""Two gloo ranks do what one process does on the same data: coefficients, statistics, gradients."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import tiny_tokenizer

SCRIPT = Path(__file__).with_name("ranks_script.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(ranks: int, tokenizer: Path) -> dict[str, Any]:
    launch = [sys.executable]
    if ranks > 1:
        launch += ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--master-port={free_port()}"]
    done = subprocess.run([*launch, str(SCRIPT), str(tokenizer)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.train
def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    alone, together = run(1, tmp_path), run(2, tmp_path)
    assert len(together["coefs"]) == 2
    assert together["coefs"][0] == together["coefs"][1], "every rank steers with the same coefficient"
    assert together["coefs"][0] == pytest.approx(alone["coefs"][0], abs=1e-6)
    assert len(set(alone["metrics"]["entropy_control/coef"])) > 1, "the coefficient is meant to move in this test"
    for name, values in alone["metrics"].items():
        assert together["metrics"][name] == pytest.approx(values, rel=1e-5, abs=1e-6), name
    for ours, theirs in zip(together["gradients"], alone["gradients"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-6)
