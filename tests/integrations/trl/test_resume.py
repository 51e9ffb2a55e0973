"""A run of a plain TRL script that was killed goes on as if nothing had happened, or says why it cannot."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from entrostat import recipes
from entrostat.integrations.host import STATE_FILE
from entrostat.integrations.trl._checkpoint import rollouts_file

from .conftest import logged, tiny_model, tiny_tokenizer
from .resume_script import BAND, STEPS, log_file, train

Make = Callable[..., Any]
SCRIPT = Path(__file__).with_name("resume_script.py")
CLOCKS = {"step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss"}
"""What differs between two runs of the same numbers; `train_loss` covers the steps of one process only."""

IN_A_ROLLOUT, AT_ITS_END, NEXT_EPOCH = 2, 3, 12
"""Checkpoints: in the middle of a rollout batch, after one was used up, and in the second epoch."""


def prepared(out: Path) -> Path:
    tiny_tokenizer().save_pretrained(out / "model")
    tiny_model().save_pretrained(out / "model")
    return out


def entries(out: Path, rank: int = 0) -> list[dict[str, Any]]:
    """Return what a rank logged, without clocks; a line cut short by the kill does not count."""
    lines = [line for line in (out / log_file(rank)).read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [{name: value for name, value in json.loads(line).items() if name not in CLOCKS} for line in lines]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupted, with its checkpoints."""
    torch.set_num_threads(1)
    out = prepared(tmp_path_factory.mktemp("straight"))
    train(out)
    coefs = [entry["entropy_control/coef"] for entry in entries(out)[:STEPS]]
    assert len(set(coefs)) > STEPS // 2, "the coefficient is meant to move in these tests"
    return out


def assert_continues(straight: Path, out: Path, checkpoint: Path) -> None:
    """Resume, and compare every statistic, coefficient, loss and weight with the uninterrupted run."""
    at = int(checkpoint.name.removeprefix("checkpoint-"))
    (out / log_file(0)).unlink(missing_ok=True)
    train(out, checkpoint)
    assert entries(out) == [entry for entry in entries(straight) if entry["step"] > at or "epoch" not in entry]
    last = [folder / f"checkpoint-{STEPS}" / "model.safetensors" for folder in (straight, out)]
    assert last[0].read_bytes() == last[1].read_bytes()


@pytest.mark.train
@pytest.mark.parametrize("at", [IN_A_ROLLOUT, AT_ITS_END, NEXT_EPOCH])
def test_a_resumed_run_repeats_the_uninterrupted_one(straight: Path, tmp_path: Path, at: int) -> None:
    assert_continues(straight, prepared(tmp_path), straight / f"checkpoint-{at}")


@pytest.mark.slow
@pytest.mark.train
def test_killed_at_any_moment(straight: Path, tmp_path: Path) -> None:
    out = prepared(tmp_path)
    step, moment = random.SystemRandom().randint(2, STEPS - 3), random.SystemRandom().uniform(0, 0.3)
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(out)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (out / log_file(0)).exists() or len(entries(out)) < step:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "the run did not get there in time"
            time.sleep(0.01)
        time.sleep(moment)
    finally:
        process.kill()
        process.wait()
    print(f"killed {moment:.3f} s after step {step} was logged")
    killed = entries(out)
    assert killed == entries(straight)[: len(killed)]
    # On a starved machine the run may have come to its end, from where there is nothing to go on to.
    whole = [at for at in range(1, STEPS) if (out / f"checkpoint-{at}" / STATE_FILE).exists()]
    assert_continues(straight, out, out / f"checkpoint-{max(whole)}")


# --- what a resume refuses ---------------------------------------------------------------------


@pytest.fixture
def checkpoint(straight: Path, tmp_path: Path) -> Path:
    """A copy of a checkpoint in the middle of a rollout batch, to be damaged."""
    prepared(tmp_path)
    return Path(shutil.copytree(straight / f"checkpoint-{IN_A_ROLLOUT}", tmp_path / "from" / "checkpoint-2"))


def assert_refused(checkpoint: Path, says: str, **changes: Any) -> None:
    with pytest.raises(ValueError, match=says):
        train(checkpoint.parents[1], checkpoint, **changes)
    assert not (checkpoint.parents[1] / log_file(0)).exists(), "it is refused before a step is made"


@pytest.mark.train
@pytest.mark.parametrize("name", [STATE_FILE, rollouts_file(0)])
def test_a_missing_file_is_never_a_silent_restart(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    assert_refused(checkpoint, f"holds no {name}.* cut short")


@pytest.mark.train
@pytest.mark.parametrize("name", [STATE_FILE, rollouts_file(0)])
def test_a_truncated_file_is_never_a_silent_restart(checkpoint: Path, name: str) -> None:
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(content[: len(content) // 2])
    assert_refused(checkpoint, f"{name} is damaged")


@pytest.mark.train
@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth", "scheduler.pt"])
def test_what_transformers_would_silently_start_afresh(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    assert_refused(checkpoint, f"has lost its {name}")


@pytest.mark.train
def test_a_file_of_transformers_cut_short(checkpoint: Path) -> None:
    (checkpoint / "optimizer.pt").write_bytes(b"")
    assert_refused(checkpoint, "optimizer.pt is damaged: it has 0 bytes")


@pytest.mark.train
def test_rollouts_of_another_checkpoint(straight: Path, checkpoint: Path) -> None:
    shutil.copy(straight / "checkpoint-1" / rollouts_file(0), checkpoint)
    assert_refused(checkpoint, "is damaged or of another checkpoint")


@pytest.mark.train
def test_the_state_of_another_recipe_is_refused(checkpoint: Path) -> None:
    state = json.loads((checkpoint / STATE_FILE).read_text())
    (checkpoint / STATE_FILE).write_text(json.dumps({**state, "recipe": "siren"}))
    assert_refused(checkpoint, "is of recipe 'siren', this run has 'aent'")


@pytest.mark.train
def test_the_state_of_another_program_is_refused(checkpoint: Path) -> None:
    (checkpoint / STATE_FILE).write_text(json.dumps({"entropy_coef": 0.1, "last_world_entropy": 0.3}))
    assert_refused(checkpoint, "must have the fields .*'control'.* found .*'entropy_coef'")


@pytest.mark.train
def test_the_state_of_another_controller_is_refused(checkpoint: Path) -> None:
    state = json.loads((checkpoint / STATE_FILE).read_text())
    text = json.dumps(state).replace(f'"low": {BAND["low"]}', '"low": 2.5')
    assert text != json.dumps(state)
    (checkpoint / STATE_FILE).write_text(text)
    assert_refused(checkpoint, "low")


@pytest.mark.train
def test_rollouts_cut_another_way_are_refused(checkpoint: Path) -> None:
    assert_refused(checkpoint, "in 3 micro-batches, and this run has 2 in one", steps_per_generation=2)


def test_the_state_file_is_json_that_anyone_can_read(checkpoint: Path) -> None:
    state = json.loads((checkpoint / STATE_FILE).read_text())
    assert state["recipe"] == "aent"
    assert state["rollout_step"] == 1
    assert math.isfinite(state["control"]["regulator"]["open"]["sum"])


@pytest.mark.train
@pytest.mark.parametrize("anneal", [0.0, 0.5])
def test_each_step_its_own_rollouts(make_trainer: Make, tmp_path: Path, anneal: float) -> None:
    recipe = recipes.aent(clamp=0.4, **BAND, anneal=anneal)
    saving: dict[str, Any] = {"max_steps": 6, "save_strategy": "steps", "save_steps": 3}
    straight = make_trainer(recipe, **saving, output_dir=str(tmp_path / "run"))
    straight.train()
    folder = tmp_path / "run" / "checkpoint-3"
    assert not (folder / rollouts_file(0)).exists(), "rollouts that are used up are not kept"
    resumed = make_trainer(recipe, **saving, output_dir=str(tmp_path / "other"))
    resumed.train(resume_from_checkpoint=str(folder))
    for name in ("entropy_control/coef", "entropy_control/clamped_entropy", "loss"):
        assert logged(resumed, name)[-3:] == logged(straight, name)[-3:], f"{name} differs after the resume"
