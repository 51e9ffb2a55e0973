"""`--dry-run` and `--dry_run`: exit code 0 with a plan, or 2 with one sentence; nothing is written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import yaml

from entrostat import cli
from entrostat.integrations.trl.grpo import main

from .shapes import qwen25_15b

JOB = """
model = "model"
[train]
prompts = 16
micro_batch = 8
max_completion_length = 1024
gradient_checkpointing = true
[[recipes]]
name = "aent"
parameters = {{ low = 0.15, high = 0.24 }}
{more}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    qwen25_15b().save_pretrained(tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "<bos> one", "answer": "1"}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["entrostat", "run", *map(str, arguments), "--dry-run"])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_job_with_a_config_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "job.toml").write_text(JOB.format(more=""))
    before = sorted(folder.iterdir())
    assert call(monkeypatch, "job.toml") == 0
    shown = capsys.readouterr().out
    assert "1,543,714,304 parameters" in shown
    assert "Avoided by the fused head" in shown
    assert "Not checked: the tokenizer" in shown
    assert "The job could start" in shown
    assert call(monkeypatch, "job.toml", "--gpus", 8, "--sharding", "fsdp2", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["plans"]["aent"]
    assert (plan["setup"]["gpus"], plan["setup"]["sequences"], plan["fits"]) == (8, 8, True)
    assert sorted(folder.iterdir()) == before


def test_the_embedded_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert call(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "237,888 parameters" in shown
    assert "aent-tight: as above" in shown


@pytest.mark.parametrize(
    ("more", "arguments", "says"),
    [
        ("", ["--gpu-memory", "16"], "Does not fit"),
        ("", ["--model", "nobody/nothing"], "could not be fetched here"),
        ("", ["--gpus", "8", "--sharding", "zero9"], "unknown sharding 'zero9'"),
        ("", ["--gpus", "0"], "`gpus` must be at least 1"),
        ("", ["--out", "rows.jsonl/out"], "cannot be written"),
        ('[[recipes]]\nname = "adrpo"\nparameters = { beta0 = 0.1 }', [], "recipe"),
        ('[data]\nsource = "gone.jsonl"', [], "`source` must be a file that can be read"),
        ('[data]\nsource = "rows.jsonl"\nanswer = "anser"', [], "Did you mean 'answer'?"),
        ('[data]\nsource = "rows.jsonl"\nreward = "no.module"', [], "`reward_funcs` must name functions"),
    ],
)
def test_a_job_that_could_not_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: str, arguments: list[str],
    says: str,
) -> None:  # fmt: skip
    (folder / "job.toml").write_text(JOB.format(more=more))
    assert call(monkeypatch, "job.toml", *arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert not (folder / "runs").exists()


def script(folder: Path, **changes: Any) -> list[str]:
    settings: dict[str, Any] = {
        "model_name_or_path": "model", "dataset_name": "json", "reward_funcs": ["think_format_reward"],
        "recipe": "aent", "recipe_parameters": {"low": 0.15, "high": 0.24}, "output_dir": "out", "use_cpu": True,
        "max_completion_length": 1024, "num_generations": 8, "report_to": "none", "dry_run": True, "dry_run_gpus": 8,
    }  # fmt: skip
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "train.jsonl").write_text((folder / "rows.jsonl").read_text())
    settings |= {"dataset_name": "data", **changes}
    (folder / "job.yaml").write_text(yaml.safe_dump(settings))
    return ["--config", str(folder / "job.yaml")]


def test_the_script(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(script(folder, dry_run_sharding="fsdp2", use_vllm=True, vllm_mode="colocate"))
    shown = capsys.readouterr().out
    assert "vLLM" in shown
    assert "Fits:" in shown
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dry_run_gpu_memory": 8}, "Does not fit"),
        ({"entropy_coef": 0.01}, "`entropy_coef` must be 0 beside a recipe"),
        ({"dry_run_sharding": "fdsp2"}, "Did you mean 'fsdp2'?"),
        ({"model_name_or_path": "nobody/nothing"}, "could not be fetched here"),
        ({"dataset_train_split": "trian"}, "Did you mean 'train'?"),
    ],
)
def test_a_script_that_could_not_start(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(script(folder, **changes))
    assert ended.value.code == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_no_prompt_of_the_embedded_task_is_longer_than_planned() -> None:
    from transformers import AutoTokenizer

    from entrostat.runs._dry_run import COUNTDOWN_PROMPT
    from entrostat.tasks import countdown, warm_start_path

    tokenizer = AutoTokenizer.from_pretrained(warm_start_path())
    prompts = [countdown.prompt(problem) for problem in countdown.load("train")]
    assert max(map(len, tokenizer(prompts)["input_ids"])) <= COUNTDOWN_PROMPT
