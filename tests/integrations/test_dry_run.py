"""`--dry-run` and `--dry_run`: exit code 0 and the cost of the head, or 2 with one sentence; nothing is written."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import yaml
from transformers import Qwen2Config

from entrostat import cli
from entrostat.integrations.trl.grpo import main, parse
from entrostat.tasks import warm_start_path

QWEN25_15B = Qwen2Config(
    vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
    num_key_value_heads=2, tie_word_embeddings=True, architectures=["Qwen2ForCausalLM"],
)  # fmt: skip
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
    QWEN25_15B.save_pretrained(tmp_path / "model")
    rows = [json.dumps({"prompt": f"6 10 > {n} :", "answer": str(n)}) for n in range(22)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*rows, '{"prompt": "9 + 4 = 13 ; 6", "answer": "1"}']))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def give_tokenizer(folder: Path) -> None:
    for file in Path(warm_start_path()).glob("*token*"):
        shutil.copy(file, folder / "model")


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
    assert "the fused head avoids 4.64 GiB of logits and their gradient for 8,192 tokens" in shown
    assert "Not checked: the tokenizer" in shown
    assert "The job could start" in shown
    assert call(monkeypatch, "job.toml", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["could_start"], found["parameters"]) == (True, 1_543_714_304)
    assert found["heads"]["aent"]["avoided"] == 2 * 8 * 1024 * 151936 * 2
    assert sorted(folder.iterdir()) == before


def test_the_embedded_job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert call(monkeypatch) == 0
    shown = capsys.readouterr().out
    assert "237,888 parameters" in shown
    assert "aent-tight: as above" in shown


@pytest.mark.parametrize(
    ("more", "arguments", "says"),
    [
        ("", ["--model", "nobody/nothing"], "could not be fetched here"),
        ("", ["--out", "rows.jsonl/out"], "cannot be written"),
        ('[[recipes]]\nname = "adrpo"\nparameters = { beta0 = 0.1 }', [], "recipe"),
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


DATA = '[data]\nsource = "{source}"\nreward = "exact"\nchat_template = false\n{more}'


def test_its_data_is_read_as_the_run_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_tokenizer(folder)
    (folder / "job.toml").write_text(JOB.format(more=DATA.format(source="rows.jsonl", more="held_out = 1")))
    assert call(monkeypatch, "job.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []


@pytest.mark.parametrize("there", [False, True])
def test_data_that_cannot_be_read_here_is_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    if there:
        give_tokenizer(folder)
    source = "nobody/nothing" if there else "rows.jsonl"
    (folder / "job.toml").write_text(JOB.format(more=DATA.format(source=source, more="max_prompt_tokens = 99")))
    assert call(monkeypatch, "job.toml", "--json") == 0
    note = json.loads(capsys.readouterr().out)["notes"][-1]
    assert note.startswith("Not checked: the data")
    assert ("nobody/nothing" if there else "because there is no tokenizer") in note


@pytest.mark.parametrize(
    ("source", "more", "says"),
    [
        ("gone.jsonl", "", "`source` must be a file that is there"),
        ("rows.jsonl", 'answer = "anser"', "Did you mean 'answer'?"),
        ("rows.jsonl", 'reward = "no.module"', "`reward` must name a function that can be imported"),
        ("rows.jsonl", 'test_split = "tset"', "unknown `test_split` 'tset'"),
        ("rows.jsonl", "held_out = 0", "no problem left for the validation split"),
        ("rows.jsonl", "max_prompt_tokens = 1", "hold rows with a prompt that is not too long"),
    ],
)
def test_data_the_run_would_refuse(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str, more: str, says: str
) -> None:
    give_tokenizer(folder)
    table = DATA.format(source=source, more=more)
    table = table.replace('reward = "exact"\n', "") if "reward" in more else table
    (folder / "job.toml").write_text(JOB.format(more=table))
    assert call(monkeypatch, "job.toml") == 2
    assert says in capsys.readouterr().err


def script(folder: Path, **changes: Any) -> list[str]:
    settings: dict[str, Any] = {
        "model_name_or_path": "model", "dataset_name": "json", "reward_funcs": ["think_format_reward"],
        "recipe": "aent", "recipe_parameters": {"low": 0.15, "high": 0.24}, "output_dir": "out", "use_cpu": True,
        "max_completion_length": 1024, "num_generations": 8, "report_to": "none", "dry_run": True, "dry_run_gpus": 8,
    }  # fmt: skip
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "train.jsonl").write_text((folder / "rows.jsonl").read_text())
    settings |= {"dataset_name": "data", **changes}
    settings = {name: value for name, value in settings.items() if value is not None}
    (folder / "job.yaml").write_text(yaml.safe_dump(settings))
    return ["--config", str(folder / "job.yaml")]


def test_the_script(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(script(folder, use_vllm=True, vllm_mode="colocate"))
    shown = capsys.readouterr().out
    assert "vLLM" in shown
    assert "recipe aent, 1 reward(s), 8 GPU(s)" in shown
    assert "1,543,714,304 parameters; the fused head avoids" in shown
    assert not (folder / "out").exists()


def test_an_adapter_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("peft")
    main(script(folder, use_peft=True, lora_r=4, lora_target_modules=["q_proj", "v_proj"]))
    assert f"1,543,714,304 parameters, {28 * 4 * (1536 + 1536 + 1536 + 256):,} trained" in capsys.readouterr().out


def test_the_script_without_a_gpu_says_what_it_could_not_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = script(folder, bf16=True, use_cpu=None, dataset_name="nobody/nothing", use_vllm=True)
    main([f"--config={words[1]}"])
    shown = capsys.readouterr().out
    assert "the fused head avoids" in shown
    for part in ("the dataset. `dataset_name` must be", "compute in bf16", "vLLM, which is not installed", "tokenizer"):
        assert f"Not checked: {part}" in shown or part in shown.split("Not checked: ", 1)[1]


def test_the_script_s_batch_is_that_of_all_gpus(folder: Path) -> None:
    more = {"per_device_train_batch_size": 2, "generation_batch_size": 64}
    args = parse(script(folder, **more)).training
    assert (args.world_size, args.steps_per_generation) == (8, 4)
    assert parse(script(folder, **more, dry_run=False)).training.steps_per_generation == 32


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dry_run_gpus": 0}, "`dry_run_gpus` must be at least 1"),
        ({"dry_run_gpus": 3, "per_device_train_batch_size": 1}, "generation_batch_size (3)"),
        ({"entropy_coef": 0.01}, "`entropy_coef` must be 0 beside a recipe"),
        ({"use_peft": True, "lora_target_modules": ["c_attn"]}, "`lora_target_modules` fit no layer of this model"),
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
