"""verl's own `main_ppo` on a CPU: its driver, workers and FSDP2 engine under Ray; the rollout and the device are ours.

The coefficient follows its law through real steps; a run killed after its third step goes on from the second as if
nothing had been. `loop_job.py` holds the job, `scripted_rollout.py` and `cpu_*.py` stand in for vLLM and the GPU.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .loop_job import PARAMETERS as LAW
from .loop_job import overrides, write

HERE = Path(__file__).parent
MAIN = pytest.mark.feature(
    "python -m verl.trainer.main_ppo with entrostat_sync, GRPO, two workers",
    "works",
    "the coefficient follows its law on the logged entropy",
)
STEPS, KILLED_AFTER, RESUMED_FROM = 5, 3, 2


def launch(folder: Path, log: Path, environment: dict[str, str], arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start verl in a process group of its own."""
    path = os.pathsep.join(filter(None, (str(HERE), environment.get("PYTHONPATH"))))
    environment |= {"PYTHONPATH": path, "VERL_PLATFORM": "cpu", "VERL_FILE_LOGGER_PATH": str(log)}
    environment |= {"VERL_USE_EXTERNAL_MODULES": "cpu_platform,scripted_rollout", "HF_HUB_OFFLINE": "1"}
    # Workers start when they are asked for, not one per pretended CPU.
    environment |= {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
    command = [sys.executable, "-W", "ignore", "-m", "verl.trainer.main_ppo", *arguments]
    with Path(f"{log}.txt").open("wb") as out:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the driver and all that it started, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def logged(log: Path) -> list[dict[str, float]]:
    """Return the metrics of the steps in verl's own log."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [json.loads(line)["data"] for line in lines if line.endswith("}")]


def wait(process: subprocess.Popen[bytes], log: Path, steps: int, seconds: float = 900) -> list[dict[str, float]]:
    """Wait until so many steps are logged."""
    end = time.monotonic() + seconds
    while len(found := logged(log)) < steps:
        assert process.poll() is None, Path(f"{log}.txt").read_text()[-4000:]
        assert time.monotonic() < end, Path(f"{log}.txt").read_text()[-4000:]
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run killed after its third step, and the run that took it up."""
    folder = tmp_path_factory.mktemp("verl")
    write(folder)
    environment, arguments = {**os.environ, "OMP_NUM_THREADS": "1"}, overrides(folder, STEPS)
    killed = launch(folder, folder / "killed.jsonl", environment, arguments)
    try:
        first = wait(killed, folder / "killed.jsonl", KILLED_AFTER)
    finally:
        kill(killed)
    latest = (folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text()
    resumed = launch(folder, folder / "resumed.jsonl", environment, arguments)
    try:
        second = wait(resumed, folder / "resumed.jsonl", STEPS - RESUMED_FROM)
        status = resumed.wait(timeout=300)
    finally:
        if resumed.poll() is None:
            kill(resumed)
    return {"folder": folder, "killed": first, "resumed": second, "latest": latest, "status": status}


def ours(step: dict[str, float], name: str) -> float:
    return step[f"actor/entrostat/{name}"]


@MAIN
def test_verl_trains_and_ends_well(runs: dict[str, Any]) -> None:
    assert runs["status"] == 0
    steps = [step["training/global_step"] for step in runs["killed"] + runs["resumed"]]
    assert steps == [1, 2, 3, 3, 4, 5]
    assert all(step["actor/grad_norm"] > 0 for step in runs["killed"] + runs["resumed"])


@MAIN
def test_the_coefficient_follows_its_law_on_the_logged_entropy(runs: dict[str, Any]) -> None:
    coef = LAW["initial"]
    for step in runs["killed"][:RESUMED_FROM] + runs["resumed"]:
        assert ours(step, "coef") == pytest.approx(coef, rel=1e-12)
        entropy = ours(step, "clamped_entropy")
        coef -= LAW["rate"] * (min(0.0, entropy - LAW["low"]) + max(0.0, entropy - LAW["high"]))
    moved = {ours(step, "coef") for step in runs["resumed"]}
    assert len(moved) == STEPS - RESUMED_FROM


@MAIN
def test_the_bonus_is_the_coefficient_times_the_entropy(runs: dict[str, Any]) -> None:
    for step in runs["killed"] + runs["resumed"]:
        assert ours(step, "bonus") == pytest.approx(-ours(step, "coef") * ours(step, "clamped_entropy"), rel=1e-5)
        assert 0 < ours(step, "clamped_entropy") < ours(step, "entropy")
        assert 0 < ours(step, "kept_mass") < 1


@pytest.mark.feature(
    "SIGKILL, and resume from verl's checkpoint", "works", "the next step has the same coefficient bit for bit"
)
def test_a_killed_run_goes_on_where_its_checkpoint_ended(runs: dict[str, Any]) -> None:
    before, after = runs["killed"][RESUMED_FROM], runs["resumed"][0]
    assert ours(before, "coef") == ours(after, "coef")
    for name in ("entropy", "clamped_entropy", "kept_mass", "bonus"):
        assert ours(before, name) == pytest.approx(ours(after, name), rel=1e-5)
    assert before["critic/score/mean"] == pytest.approx(after["critic/score/mean"], abs=1e-6)


def test_the_state_lies_in_verls_checkpoint(runs: dict[str, Any]) -> None:
    assert runs["latest"] == str(RESUMED_FROM)
    folder = runs["folder"] / "checkpoints" / f"global_step_{RESUMED_FROM}"
    state = json.loads((folder / "entrostat_state.json").read_text())
    assert state["recipe"] == "aent"
    assert (folder / "data.pt").exists()
    assert len(list((folder / "actor").glob("model_world_size_2_rank_*.pt"))) == 2


def run(
    folder: Path, recipe: str, parameters: dict[str, Any], environment: dict[str, str], *more: str
) -> list[dict[str, float]]:
    """Train two steps from the start to the end."""
    write(folder)
    log = folder / "log.jsonl"
    process = launch(folder, log, environment, [*overrides(folder, 2, recipe, parameters), *more])
    try:
        steps = wait(process, log, 2)
        assert process.wait(timeout=300) == 0
    finally:
        if process.poll() is None:
            kill(process)
    return steps


@pytest.mark.feature(
    "a recipe that edits whole rollout batches, in the trainer loop", "works", "verl trains on what it left of them"
)
@pytest.mark.feature("algorithm.adv_estimator=rloo", "works", "in the trainer loop")
def test_verl_trains_on_edited_rollouts(tmp_path: Path, environment: dict[str, str]) -> None:
    """A band far above any entropy keeps the responses of negative advantage alone; verl logs what it trained on."""
    band = {"low": 9.0, "high": 10.0}
    for step in run(tmp_path, "entrocraft", band, environment, "algorithm.adv_estimator=rloo"):
        assert step["critic/advantages/min"] < 0 == step["critic/advantages/max"]
        assert step["critic/returns/min"] < 0 < step["critic/returns/max"]  # verl's own advantages, of before
        assert step["actor/grad_norm"] > 0


@pytest.mark.feature(
    "a law that is fed the fresh rollouts, in the trainer loop", "works", "it moves before the first update on them"
)
@pytest.mark.feature("use_kl_loss=true, with a reference model", "works", "in the trainer loop")
def test_a_law_on_fresh_rollouts_moves_before_the_update(tmp_path: Path, environment: dict[str, str]) -> None:
    law = {"target": 9.0, "adaptive": True, "rise": 1.1, "rate": 0.01}
    reference = [
        f"actor_rollout_ref.{name}" for name in ("actor.use_kl_loss=true", "ref.log_prob_micro_batch_size_per_gpu=8")
    ]
    steps = run(tmp_path, "stare", law, environment, *reference)
    assert [ours(step, "coef") for step in steps] == pytest.approx([0.11, 0.12])
    # The reference is the first policy, in its own precision.
    assert 0 <= steps[0]["actor/kl_loss"] < 1e-3 < steps[1]["actor/kl_loss"]


def test_old_log_probs_are_those_under_the_scale(tmp_path: Path, environment: dict[str, str]) -> None:
    """With one update per batch the ratio is 1. ERA halves the advantage of what it sharpens: here what is good."""
    for step in run(tmp_path, "era", {"k": 2.0, "low": 9.0, "high": 10.0}, environment):
        assert abs(step["actor/ppo_kl"]) < 1e-6
        assert step["critic/advantages/max"] == pytest.approx(step["critic/returns/max"] / 2, rel=1e-6)
        assert step["critic/advantages/min"] == step["critic/returns/min"] < 0
