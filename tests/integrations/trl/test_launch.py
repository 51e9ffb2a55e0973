"""`accelerate launch` on two CPU processes trains as one process does: DDP and FSDP2, real from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from .conftest import tiny_model, tiny_tokenizer

SCRIPT = Path(__file__).with_name("launch_script.py")
RECIPES = ["aent", "high_entropy_tokens", "entropic"]
STEPS, STEPS_PER_EPOCH = 10, 5
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
APART = {"step_time", "grad_norm"}
"""What is logged and not compared to 1e-6: a clock, and a norm much larger than the rest."""
ROUNDED = {"loss": 3e-6}
"""What TRL itself rounds once more on several ranks: its sum of fp32 losses, after ten steps that each round."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_tokenizer().save_pretrained(folder)
    tiny_model().save_pretrained(folder)
    return folder


def trained(launch: list[str], model: Path, out: Path, *arguments: str) -> list[dict[str, Any]]:
    """Run the script; return what each rank wrote."""
    command = [sys.executable, *launch, str(SCRIPT), str(model), str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in sorted(out.glob("rank*.json"))]


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = trained([], model, tmp_path_factory.mktemp("alone"), *RECIPES)[0]
    coefs = [entry["entropy_control/coef"] for entry in found["aent"]["log"]]
    assert len(set(coefs)) > STEPS // 2, "the coefficient is meant to move in these tests"
    return found


@pytest.fixture(scope="module")
def ranks(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two launched ranks did. With `--cpu` accelerate would start one, as only MPI starts more of those."""
    return trained(LAUNCH, model, tmp_path_factory.mktemp("ranks"), *RECIPES, "--fsdp2")


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("name", RECIPES)
def test_ddp(name: str, alone: dict[str, Any], ranks: list[dict[str, Any]]) -> None:
    assert [rank[name]["wrapped"] for rank in ranks] == ["DistributedDataParallel"] * 2
    _agree(alone[name], [rank[name] for rank in ranks])


@pytest.mark.slow
@pytest.mark.train
def test_fsdp2(alone: dict[str, Any], ranks: list[dict[str, Any]]) -> None:
    assert [rank["accelerate"] for rank in ranks] == ["DistributedType.MULTI_CPU"] * 2, (
        "accelerate shards on a CPU now: drop `shard_on_cpu` from the script, and what docs/compatibility.md says of it"
    )
    first, second = (rank["fsdp2"] for rank in ranks)
    assert first["wrapped"] == second["wrapped"] == "FSDPLlamaForCausalLM"
    whole = alone["aent"]["held"]
    assert first["held"] + second["held"] == whole
    assert first["held"] < 0.6 * whole > second["held"]
    _agree(alone["aent"], [first, second])


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
def test_zero3(model: Path, alone: dict[str, Any], tmp_path: Path) -> None:
    first, second = (rank["zero3"] for rank in trained(LAUNCH, model, tmp_path, "--zero3"))
    assert first["wrapped"] == second["wrapped"] == "DeepSpeedEngine"
    assert first["held"] < alone["aent"]["held"] > second["held"]
    _agree(alone["aent"], [first, second])


def _agree(alone: dict[str, Any], ranks: list[dict[str, Any]]) -> None:
    assert [entry["epoch"] for entry in alone["log"]][STEPS_PER_EPOCH - 1 :: STEPS_PER_EPOCH] == [1, 2]
    first, second = (rank["tokens"] for rank in ranks)
    pairs = list(zip(first, second, strict=True))
    assert [sum(pair) for pair in pairs] == alone["tokens"]
    assert all(one != other for one, other in pairs), "every rank has its own number of tokens"
    assert second[1::2] == [0, 0, 0], "and rank 1 at times none"
    for rank in ranks:
        for theirs, ours in zip(alone["log"], rank["log"], strict=True):
            assert theirs.keys() == ours.keys()
            for name in theirs.keys() - APART:
                close = pytest.approx(theirs[name], rel=1e-6, abs=ROUNDED.get(name, 1e-6))
                assert ours[name] == close, f"{name} at step {theirs['step']}"
            assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-5)
        assert rank["coef"] == ranks[0]["coef"] == pytest.approx(alone["coef"], abs=1e-6)
        assert rank["weights"] == ranks[0]["weights"] == pytest.approx(alone["weights"], abs=1e-6)
