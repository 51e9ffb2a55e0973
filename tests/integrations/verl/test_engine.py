"""verl's FSDP2 engine on the CPU, one and two gloo processes: gradients and measures of the unsharded objective."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
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
    ranks: int, recipe: str, layout: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    for result in results(ranks, recipe, layout, "fp32", tmp_path, environment):
        assert result["engine"] == "EntropyFSDPEngine"
        assert result["names"]
        assert result["difference"] < 1e-4
        assert result["fresh"] < 1e-5
        assert result["clamped"] == pytest.approx(result["expected_clamped"], rel=1e-5)


@pytest.mark.feature(
    "bf16 (mixed_precision.param_dtype)", "works", "gradients to 5 %, entropies to 1 %, of those in fp32"
)
def test_in_bf16_they_are_those_of_the_objective_to_its_precision(tmp_path: Path, environment: dict[str, str]) -> None:
    (result,) = results(1, "aent", "packed", "bf16", tmp_path, environment)
    assert 1e-4 < result["difference"] < 0.05
    assert result["clamped"] == pytest.approx(result["expected_clamped"], rel=0.01)


def results(ranks: int, recipe: str, layout: str, dtype: str, folder: Path, environment: dict[str, str]) -> list[Any]:
    """Run the script in so many processes; return what each wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command, settings = [sys.executable, "-W", "ignore", str(SCRIPT)], [port, recipe, layout, dtype, str(folder)]
    processes = [
        subprocess.Popen([*command, str(rank), str(ranks), *settings], env=environment) for rank in range(ranks)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0] * ranks
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(ranks)]


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
