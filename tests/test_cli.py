"""The command line: bad input ends with one clear sentence, exit code 2, and nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import entrostat
from entrostat import cli, recipes
from entrostat.cli._run import _with_absolute_paths
from entrostat.jobs.doctor import Finding
from entrostat.jobs.runs import JobDirectory
from entrostat.jobs.settings import Job, from_table
from entrostat.observe.records import RecordWriter, StepRecord


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["entrostat", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert call(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--recipe", "aemt"], "Did you mean 'aent'"),
        (["--steps", "-3"], "`steps` must be at least 1"),
        (["--steps", "many"], "Invalid value"),
        (["--seeds", "0"], "`seeds` must be at least 1"),
        (["--model", "./no-such-model"], "which is not there"),
        (["--resume"], "--resume continues the job in --out"),
        (["no-such-job.toml"], "no-such-job.toml"),
        (["--frobnicate"], "No such option"),
    ],
)
def test_bad_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(monkeypatch, capsys, "run", *arguments)
    assert not list(tmp_path.iterdir()), "a refused job leaves nothing behind"


def test_a_directory_that_is_no_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    assert "with a config.json, got model='model'" in refused(monkeypatch, capsys, "run", "--model", "model")


def test_a_resume_finds_model_and_data_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "rows.jsonl").write_text("")
    job = from_table({"model": "model", "data": {"source": "./rows.jsonl"}})
    found = _with_absolute_paths(job)
    assert (found.model, found.data.source) == (str(tmp_path / "model"), str(tmp_path / "rows.jsonl"))
    for elsewhere in (Job(), from_table({"model": "Qwen/Qwen2.5-0.5B", "data": {"source": "openai/gsm8k"}})):
        assert _with_absolute_paths(elsewhere) == elsewhere


@pytest.mark.parametrize(("minibatches", "inert"), [(1, True), (2, False)])
def test_a_recipe_that_could_do_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, minibatches: int, inert: bool
) -> None:
    job = tmp_path / "job.toml"
    job.write_text(f'[train]\nminibatches = {minibatches}\n[[recipes]]\nname = "gspo"\n')
    assert call(monkeypatch, "run", job, "--print-config") == 0
    assert ("'gspo' does nothing in this job" in capsys.readouterr().err) == inert


def test_a_band_upside_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    job = tmp_path / "job.toml"
    job.write_text('[[recipes]]\nname = "aent"\nparameters = { low = 0.3, high = 0.2 }\n')
    error = refused(monkeypatch, capsys, "run", job, "--out", tmp_path / "out")
    assert "recipe 'aent': `low` must" in error
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    error = refused(monkeypatch, capsys, "run", "--out", tmp_path / "file" / "out")
    assert "cannot be written" in error


def test_a_run_names_its_data(tmp_path: Path) -> None:
    out = JobDirectory(tmp_path / "out")
    job = from_table({"data": {"source": "openai/gsm8k"}, "recipes": [{"name": "none"}]})
    out.create(job)
    assert out.run(job.recipes[0], 0).info()["task"] == "openai/gsm8k"


def test_a_place_that_holds_a_job_already(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    JobDirectory(tmp_path / "out").create(Job(steps=2))
    before = (tmp_path / "out" / "job.toml").read_text()
    assert "already holds a job" in refused(monkeypatch, capsys, "run", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "job.toml").read_text() == before


def test_resuming_with_other_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    JobDirectory(tmp_path / "out").create(Job(steps=2))
    error = refused(monkeypatch, capsys, "run", "--resume", "--out", tmp_path / "out", "--steps", 9)
    assert "cannot change steps" in error


@pytest.mark.parametrize("content", [None, "steps = = 1", "stepz = 1"])
def test_resuming_what_is_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "job.toml").write_text(content)
    assert "job.toml" in refused(monkeypatch, capsys, "run", "--resume", "--out", tmp_path)


def test_corrupt_records_stop_a_resume_with_file_and_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = JobDirectory(tmp_path / "out")
    job = Job(steps=2).with_recipes(["none"])
    out.create(job)
    path = out.run(job.recipes[0], 0).records
    path.write_text('{"schema": 1}\n')
    error = refused(monkeypatch, capsys, "run", "--resume", "--out", tmp_path / "out")
    assert f"{path}, line 1" in error
    assert path.read_text() == '{"schema": 1}\n'


def test_a_report_of_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "holds no run" in refused(monkeypatch, capsys, "report", tmp_path)
    assert "holds no run" in refused(monkeypatch, capsys, "cite", tmp_path)


def test_the_job_can_be_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "run", "--recipe", "aent", "--steps", 7, "--print-config") == 0
    printed = capsys.readouterr().out
    assert "steps = 7" in printed
    assert printed.count("[[recipes]]") == 1


def test_recipes_are_listed_and_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "recipes", "--json") == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == recipes.names()
    assert call(monkeypatch, "recipes", "aent") == 0
    shown = capsys.readouterr().out
    assert "shen2025entropy" in shown
    assert "warmup" in shown
    assert "Did you mean" in refused(monkeypatch, capsys, "recipes", "aen")


def test_a_list_of_recipes_has_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "recipes") == 0
    _, *lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[0] for line in lines] == recipes.names()
    assert any(len(line) > 120 for line in lines), "nothing is cut where there is no terminal"


def test_names_match_without_case_and_dashes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "recipes", "Entropy-Bonus", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "entropy_bonus"
    assert call(monkeypatch, "run", "--recipe", "AEnt_Tight", "--recipe", "AENT+clip-higher", "--print-config") == 0
    printed = capsys.readouterr().out
    assert 'label = "aent-tight"' in printed
    assert 'label = "aent+clip_higher"' in printed


def test_the_version_and_the_module() -> None:
    command = [sys.executable, "-m", "entrostat", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"entrostat {entrostat.__version__}\n"


def test_completion_is_offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--help") == 0
    assert "--install-completion" in capsys.readouterr().out


def test_watch_once_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = JobDirectory(tmp_path / "out")
    job = Job(steps=2).with_recipes(["none"])
    out.create(job)
    record = StepRecord(step=1, entropy=0.3, clamped_entropy=0.2, kept_mass=1.0, coef=0.0, bonus=0.0)
    RecordWriter(out.run(job.recipes[0], 0).records).write(record)
    assert call(monkeypatch, "watch", tmp_path / "out", "--once", "--json") == 0
    (run,) = json.loads(capsys.readouterr().out)
    assert (run["name"], run["status"], run["planned"]) == ("none seed 0", "waiting", 2)
    assert (run["last"]["step"], run["last"]["entropy"], run["evaluated"]) == (1, 0.3, None)
    assert "`json` must be given together with --once" in refused(monkeypatch, capsys, "watch", tmp_path, "--json")


def test_cite_prints_the_papers_of_a_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    JobDirectory(tmp_path / "out").create(Job(steps=2))
    assert call(monkeypatch, "cite", tmp_path / "out") == 0
    assert capsys.readouterr().out.count("@") == 2
    assert call(monkeypatch, "cite", tmp_path / "out", "--json") == 0
    assert [entry["recipe"] for entry in json.loads(capsys.readouterr().out)] == ["aent", "entropy_bonus", "none"]


def test_doctor_shows_square_brackets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    state = "not live: pip install 'entrostat[trl]'"
    monkeypatch.setattr("entrostat.jobs.doctor.examine", lambda: [Finding(part="TRL hook", version="", state=state)])
    assert call(monkeypatch, "doctor") == 0
    assert "entrostat[trl]" in capsys.readouterr().out


def test_doctor_says_whether_the_hook_is_live(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl")
    assert call(monkeypatch, "doctor", "--json") == 0
    hook = next(part for part in json.loads(capsys.readouterr().out) if part["part"] == "TRL hook")
    assert hook["state"].startswith("live")
    monkeypatch.setattr("trl.__version__", "9.9")
    assert call(monkeypatch, "doctor", "--json") == 0
    hook = next(part for part in json.loads(capsys.readouterr().out) if part["part"] == "TRL hook")
    assert hook["state"].startswith("not live")
