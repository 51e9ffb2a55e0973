"""`python -m entrostat.integrations.trl.grpo`: the recipe as flags or in the file, and one sentence for bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrostat import recipes
from entrostat.integrations.trl.grpo import REWARDS, RecipeArguments, RewardArguments, main, parse, reward_function

from .conftest import tiny_model, tiny_tokenizer

REWARD = """
def even_words(completions, **kwargs):
    return [sum(word[1:] in "02468" for word in text.split()) / 6 for text in completions]

limit = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with all that a job needs: a model, a dataset, a reward and its file."""
    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "data").mkdir()
    rows = [{"prompt": f"<bos> w{number} w{number + 1}"} for number in range(16)]
    (tmp_path / "data" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "own_rewards.py").write_text(REWARD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(folder: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "model_name_or_path": "model", "dataset_name": "data", "reward_funcs": ["own_rewards.even_words"],
        "recipe": "aent", "recipe_parameters": {"low": 2.0, "high": 2.5, "keep": 20, "warmup": 1, "initial": 0.005},
        "output_dir": "out", "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "max_steps": 2,
        "per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 4, "report_to": "none",
        "save_strategy": "steps", "save_steps": 2, "logging_steps": 1, "dtype": "float32",
    }  # fmt: skip
    kept = {name: value for name, value in {**settings, **changes}.items() if value is not None}
    (folder / "job.yaml").write_text(yaml.safe_dump(kept))
    return folder / "job.yaml"


@pytest.mark.slow
@pytest.mark.train
def test_two_steps_from_a_file_with_one_flag_that_overrules_it(folder: Path) -> None:
    command = [sys.executable, "-m", "entrostat.integrations.trl.grpo", "--config", str(job(folder, max_steps=50))]
    done = subprocess.run(
        [*command, "--max_steps", "2"],
        capture_output=True, text=True, timeout=200, cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Trained; the model is in out." in done.stdout
    assert (folder / "out" / "model.safetensors").exists()
    history = json.loads((folder / "out" / "checkpoint-2" / "trainer_state.json").read_text())["log_history"]
    coefs = [entry["entropy_control/coef"] for entry in history if "entropy_control/coef" in entry]
    assert coefs[0] == 0.005
    assert len(coefs) == 2
    saved = json.loads((folder / "out" / "checkpoint-2" / "entrostat_state.json").read_text())
    assert saved["recipe"] == "aent"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"recipe": "aemt"}, "unknown recipe 'aemt'. Did you mean 'aent'?"),
        ({"recipe_parameters": {"low": 0.1, "heigh": 0.2}}, "Did you mean 'high'?"),
        ({"recipe_parameters": None}, "recipe 'aent' needs `low`, `high`, which it has no default for."),
        ({"recipe_parameters": {"low": 0.3, "high": 0.2}}, "`low` must be at most `high`"),
        ({"recipe_parameters": {"low": 0.1, "high": 0.2, "warmup": 1.5}}, "`warmup` must be an integer"),
        ({"recipe_parameters": "{low: 0.3"}, "`recipe_parameters` must be JSON"),
        ({"recipe": "aent+clip_higher"}, "`parameters` must be tables under the names aent, clip_higher"),
        ({"recipe_parameters": "[1]"}, "`recipe_parameters` must be a mapping"),
        ({"reward_funcs": ["even_word"]}, "unknown reward function 'even_word'"),
        ({"reward_funcs": ["own_rewards.odd_words"]}, "`reward_funcs` must name a function that can be imported"),
        ({"reward_funcs": ["no_such_module.reward"]}, "`reward_funcs` must name a function that can be imported"),
        ({"reward_funcs": ["own_rewards.limit"]}, "`reward_funcs` must name a function, got"),
        ({"reward_funcs": None}, "give `reward_funcs`"),
        ({"dataset_name": None}, "give `dataset_name`"),
        ({"dataset_name": "nowhere"}, "nowhere"),
        ({"dataset_train_split": "trian"}, "unknown split of the dataset 'trian'. Did you mean 'train'?"),
        ({"model_name_or_path": None}, "`model_name_or_path` must be given"),
        ({"model_name_or_path": "./no_model"}, "no_model"),
        ({"entropy_coef": 0.01}, "`entropy_coef` must be 0 beside a recipe"),
        ({"recype": "aent"}, "recype"),
        ({"num_generations": 3}, "num_generations"),
        ({"resume_from_checkpoint": "gone"}, "gone"),
        ({"resume_from_checkpoint": True}, "No valid checkpoint found in output directory"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    folder: Path, capfd: pytest.CaptureFixture[str], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--config", str(job(folder, **changes))])
    assert stopped.value.code == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last


def test_a_file_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--config", "missing.yaml"])
    assert stopped.value.code == 2
    assert "missing.yaml" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "arguments", "says"),
    [
        ("a: [1", ["--config", "job.yaml"], "the file of settings is not YAML: "),
        ("- recipe", ["--config=job.yaml"], "must contain a YAML mapping"),
        ("", ["--config"], "`--config` must be followed by a file"),
    ],
)
def test_a_file_that_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
    arguments: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert says in line


@pytest.mark.train
def test_a_checkpoint_that_cannot_be_resumed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["--config", str(job(folder))])
    checkpoint = folder / "out" / "checkpoint-2"
    (checkpoint / "optimizer.pt").unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["--config", str(job(folder, max_steps=3, resume_from_checkpoint=str(checkpoint)))])
    assert stopped.value.code == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "has lost its optimizer.pt" in last


@pytest.mark.train
def test_what_breaks_in_training_keeps_its_traceback(folder: Path) -> None:
    (folder / "broken_rewards.py").write_text("def score(completions, **_):\n    raise ValueError('it broke')\n")
    with pytest.raises(ValueError, match="it broke"):
        main(["--config", str(job(folder, reward_funcs=["broken_rewards.score"]))])


def test_parameters_as_a_flag(tmp_path: Path) -> None:
    flags = ["--recipe", "aent", "--recipe_parameters", '{"low": 0.15, "high": 0.24}', "--output_dir", str(tmp_path)]
    recipe, reward, *_ = parse(
        [*flags, "--use_cpu", "true", "--bf16", "false", "--reward_funcs", "think_format_reward"]
    )
    assert recipe.build() == recipes.aent(low=0.15, high=0.24)
    assert [function.__name__ for function in reward.resolve()] == ["think_format_reward"]


def test_help_names_every_setting_and_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for flag in (
        "--config",
        "--recipe",
        "--recipe_parameters",
        "--reward_funcs",
        "--num_generations",
        "--dataset_name",
    ):
        assert f"{flag} " in text
    assert all(name in text for name in (*recipes.names(), *REWARDS))


@pytest.mark.parametrize("name", REWARDS)
def test_trl_s_own_rewards(name: str) -> None:
    assert callable(reward_function(name))


def test_a_reward_model_alone_is_enough() -> None:
    assert RewardArguments(reward_model_name_or_path="some/model").resolve() == ["some/model"]


def test_a_recipe_without_parameters() -> None:
    assert RecipeArguments("none").build() == recipes.none()
