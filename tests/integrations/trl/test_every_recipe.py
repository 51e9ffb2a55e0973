"""Every recipe trains through TRL as the embedded job runs it, and a resumed run goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from entrostat import recipes
from entrostat.jobs.settings import Job

Make = Callable[..., Any]


def history(trainer: Any, after: int) -> list[dict[str, float]]:
    """Return what was logged after a step, without times."""
    timed = ("time", "runtime", "per_second", "flos")
    entries = [entry for entry in trainer.state.log_history if entry["step"] > after]
    return [{key: value for key, value in entry.items() if not any(word in key for word in timed)} for entry in entries]


@pytest.mark.train
@pytest.mark.parametrize("name", recipes.names())
def test_it_trains_and_a_resume_repeats_the_uninterrupted_run(make_trainer: Make, tmp_path: Path, name: str) -> None:
    line = Job().with_recipes([name]).recipes[0]
    settings: dict[str, Any] = {
        "max_steps": 6, "save_strategy": "steps", "save_steps": 4, "shuffle_dataset": False,
        "per_device_train_batch_size": 4, "steps_per_generation": 2, "gradient_accumulation_steps": 1,
        "beta": line.train.get("beta", 0.0),
    }  # fmt: skip
    straight = make_trainer(line.build(), **settings, output_dir=str(tmp_path / "run"))
    before = [parameter.detach().clone() for parameter in straight.model.parameters()]
    torch.manual_seed(3)
    straight.train()
    moved = zip(straight.model.parameters(), before, strict=True)
    assert any(not torch.equal(after, start) for after, start in moved), "it is meant to train"
    resumed = make_trainer(line.build(), **settings, output_dir=str(tmp_path / "other"))
    torch.manual_seed(4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    assert history(resumed, 4)[:2] == history(straight, 4)[:2]
    assert resumed.regulator.state_dict() == straight.regulator.state_dict()
    for ours, theirs in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
