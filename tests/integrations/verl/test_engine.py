"""verl's FSDP2 engine on the CPU, one and two gloo processes: gradients and measures of the unsharded objective."""

from __future__ import annotations

import json
import socket
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("engine_script.py")
EAGER = "with eager attention"
SAME = "gradients of the unsharded objective, to a relative 1e-4"
ENGINE = pytest.mark.feature("FSDP2 (strategy=fsdp2)", "works", SAME)
RANKS = pytest.mark.feature(
    "two ranks, uneven tokens, a tool mask, temperature 0.7, two micro-batches each", "works", SAME
)
SCALED = pytest.mark.feature("a factor on the logits of single positions (era)", "works", SAME)


@pytest.mark.parametrize(
    ("ranks", "recipe", "layout"),
    [
        pytest.param(
            1, "aent", "packed", marks=[ENGINE, pytest.mark.feature("use_remove_padding=true", "works", EAGER)]
        ),
        pytest.param(
            2, "aent", "padded", marks=[ENGINE, RANKS, pytest.mark.feature("use_remove_padding=false", "works")]
        ),
        pytest.param(2, "clip_higher", "packed", marks=[ENGINE, RANKS]),
        pytest.param(2, "era", "packed", marks=[ENGINE, SCALED]),
        pytest.param(1, "era", "padded", marks=[ENGINE, SCALED]),
    ],
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
        assert result["fresh"] < 1e-5
        assert result["clamped"] == pytest.approx(result["expected_clamped"], rel=1e-5)


def test_to_train_with_another_loss_is_told_and_to_measure_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from entrostat.integrations.verl import _engine

    monkeypatch.setattr(_engine.FSDPEngineWithLMHead, "prepare_model_outputs", lambda *_: {})
    engine: Any = object.__new__(_engine.EntropyFSDPEngine)
    with pytest.warns(RuntimeWarning, match="no recipe is at work"):
        engine.prepare_model_outputs(None, {}, {}, lambda: None)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("error")
        assert engine.prepare_model_outputs(None, {}, {}, lambda: None) == {}
    assert engine.prepare_model_outputs(None, {}, {}, None) == {}
