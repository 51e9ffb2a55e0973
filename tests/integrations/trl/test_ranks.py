"""Two gloo ranks do what one process does on the same data, for every recipe: coefficients, statistics, gradients."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrostat import recipes

from .conftest import tiny_model, tiny_tokenizer

SCRIPT = Path(__file__).with_name("ranks_script.py")
DRAWS = {"aepo", "clip_cov"}
"""Recipes that draw at random, each rank its own numbers: their gradients cannot be equal."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(ranks: int, model: Path, names: list[str]) -> dict[str, Any]:
    launch = [sys.executable]
    if ranks > 1:
        launch += ["-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--master-port={free_port()}"]
    command = [*launch, str(SCRIPT), str(model), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.train
def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    tiny_model().save_pretrained(tmp_path)
    names = ["masked", *recipes.names()]
    alone, together = (run(ranks, tmp_path, names) for ranks in (1, 2))
    moving = alone["masked"]["metrics"]["entropy_control/coef"]
    assert len(set(moving)) > 1, "the coefficient is meant to move in this test"
    for name in names:
        _agree(name, alone[name], together[name])


def _agree(name: str, alone: dict[str, Any], together: dict[str, Any]) -> None:
    first, second = together["coefs"]
    assert first == second, f"{name}: every rank steers with the same coefficient"
    assert first == pytest.approx(alone["coefs"][0], abs=1e-6), name
    if name in DRAWS:
        return
    for key, values in alone["metrics"].items():
        assert together["metrics"][key] == pytest.approx(values, rel=1e-5, abs=1e-6), f"{name}: {key}"
    assert any(any(step) for step in alone["gradients"]), f"{name} is meant to have a gradient in this test"
    for ours, theirs in zip(together["gradients"], alone["gradients"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-6), name
