"""verl's FSDP2 engine on the CPU, one and two gloo processes: gradients and measures of the unsharded objective."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("engine_script.py")


@pytest.mark.parametrize(
    ("ranks", "recipe", "layout"), [(1, "aent", "packed"), (2, "aent", "padded"), (2, "clip_higher", "packed")]
)
def test_gradients_are_those_of_the_objective(
    ranks: int, recipe: str, layout: str, tmp_path: Path, environment: dict[str, str], python: str
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [python, "-W", "ignore", str(SCRIPT)]
    processes = [
        subprocess.Popen([*command, str(rank), str(ranks), port, recipe, layout, str(tmp_path)], env=environment)
        for rank in range(ranks)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0] * ranks
    for rank in range(ranks):
        result = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert result["engine"] == "EntropyFSDPEngine"
        assert result["names"]
        assert result["difference"] < 1e-4
        assert result["clamped"] == pytest.approx(result["expected_clamped"], rel=1e-5)
