"""Trackers get what the records get, under the host's names, below the job's own directory, without a network."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from entrostat import cli
from entrostat.jobs.runs import JobDirectory, RunDirectory
from entrostat.jobs.runs._trackers import TrackedWriter, has_key, require_trackers, set_up, settings
from entrostat.jobs.settings import TRACKERS, Job, from_table, to_table
from entrostat.observe.records import EvaluationRecord, RecordWriter, StepRecord, read

HERE = [name for name in TRACKERS if find_spec(name)]
JOB = """
steps = 4
report_to = REPORT_TO
[train]
prompts = 2
generations = 2
save_every = 2
[evaluation]
every = 2
validation = 2
test = 2
samples = 2
[[recipes]]
name = "aent"
parameters = { clamp = 0.5, low = 0.2, high = 0.4, initial = 0.02, rate = 0.03, floor = 0.0, ceiling = 0.2 }
"""


def test_a_job_names_its_trackers() -> None:
    job = Job(report_to=("tensorboard", "wandb"))
    assert from_table(to_table(job)) == job
    with pytest.raises(ValueError, match="Did you mean 'tensorboard'"):
        Job(report_to=("tensorbord",))
    with pytest.raises(ValueError, match="once"):
        Job(report_to=("wandb", "wandb"))
    for wrong in ("wandb", [3]):
        with pytest.raises(ValueError, match="must be a list of trackers"):
            from_table({"report_to": wrong})


def test_a_tracker_that_is_not_installed_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install wandb"):
        require_trackers(["wandb"])
    require_trackers([])


@pytest.mark.parametrize("missing", [True, False])
def test_the_command_line_refuses_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, missing: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    chosen = "trackio" if missing else "trackoi"
    monkeypatch.setattr(sys, "argv", ["entrostat", "run", "--report-to", chosen])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert ("pip install trackio" if missing else "Did you mean 'trackio'") in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path / "job" / "runs" / "none-seed0")
    run.path.mkdir(parents=True)
    run.update(label="none")
    return run


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment of this test's own."""
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if "WANDB" not in name})
    monkeypatch.setattr("entrostat.jobs.runs._trackers.require_trackers", lambda report_to: None)
    os.environ["NETRC"] = "no-such-file"
    return monkeypatch


def test_wandb_is_offline_without_a_key_and_keeps_its_run(clean: pytest.MonkeyPatch, run: RunDirectory) -> None:
    set_up(["wandb"], run)
    number = os.environ["WANDB_RUN_ID"]
    assert (os.environ["WANDB_MODE"], os.environ["WANDB_RUN_GROUP"]) == ("offline", "job")
    assert all(Path(os.environ[name]) == run.path for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"))
    del os.environ["WANDB_RUN_ID"]
    set_up(["wandb"], run)
    assert os.environ["WANDB_RUN_ID"] == number, "a resume goes on with the same run"
    assert settings(["wandb"], run) == {"report_to": ["wandb"], "run_name": "none-seed0", "project": "job"}
    assert settings([], run)["report_to"] == "none"


def test_what_the_user_has_set_stays(clean: pytest.MonkeyPatch, run: RunDirectory, tmp_path: Path) -> None:
    os.environ |= {"WANDB_API_KEY": "secret", "WANDB_PROJECT": "mine"}
    set_up(["wandb"], run)
    assert "WANDB_MODE" not in os.environ
    assert os.environ["WANDB_PROJECT"] == "mine"
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert has_key({"NETRC": str(tmp_path / "netrc")})
    assert not has_key({"NETRC": str(tmp_path / "netrc"), "WANDB_BASE_URL": "https://wandb.example.org"})


def test_without_trackers_nothing_is_shown(tmp_path: Path) -> None:
    record = EvaluationRecord(step=0, split="test", pass_at={"1": 0.5}, problems=2, samples=2, temperature=1.0)
    TrackedWriter(RecordWriter(tmp_path / "records.jsonl")).write(record)
    assert read(tmp_path / "records.jsonl") == [record]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of four steps that every tracker here saw: stopped after two steps and continued."""
    pytest.importorskip("trl")
    out = tmp_path_factory.mktemp("tracked") / "night"
    job = from_table(tomllib.loads(JOB.replace("REPORT_TO", json.dumps(HERE))))
    JobDirectory(out).create(job)
    clean = {name: value for name, value in os.environ.items() if "WANDB" not in name and "TRACKIO" not in name}
    environment = {**clean, "HF_HUB_OFFLINE": "1", "NETRC": "no-such-file"}
    command = [sys.executable, "-m", "entrostat.jobs.runs.worker", str(out), "aent", "0"]
    for again in (False, True):
        if again:
            _cut_back(out / "runs" / "aent-seed0")
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
        assert done.returncode == 0, done.stdout[-2000:]
    return out


def _cut_back(path: Path) -> None:
    """Leave the run as if it had been stopped at its first checkpoint."""
    shutil.rmtree(path / "checkpoints" / "checkpoint-4")
    RunDirectory(path).update(status="stopped")


def recorded(out: Path) -> dict[int, StepRecord]:
    records = read(out / "runs" / "aent-seed0" / "records.jsonl")
    return {record.step: record for record in records if isinstance(record, StepRecord)}


def compare(out: Path, shown: dict[int, dict[str, float]]) -> None:
    """What a tracker has of each step is what the records have."""
    for step, record in recorded(out).items():
        for name in ("entropy", "clamped_entropy", "kept_mass", "coef", "bonus", "band_low"):
            value = shown[step][f"train/entropy_control/{name}"]
            assert math.isclose(value, getattr(record, name), rel_tol=1e-6), (step, name)
    for step in (0, 2, 4):
        assert 0 <= shown[step]["eval/validation/pass_at_1"] <= 1
    assert {"eval/test/pass_at_1", "eval/test/greedy"} <= shown[4].keys()


slow = [pytest.mark.slow, pytest.mark.train]


def tracker(name: str) -> Any:
    absent = pytest.mark.skipif(name not in HERE, reason=f"{name} is not installed")
    return pytest.param(name, marks=[*slow, absent])


def by_step(rows: Iterator[tuple[int, dict[str, float]]]) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for step, values in rows:
        found.setdefault(step, {}).update(values)
    return found


def tensorboard_rows(out: Path) -> Iterator[tuple[int, dict[str, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "runs" / "aent-seed0" / "tensorboard"))
    events.Reload()
    for tag in events.Tags()["scalars"]:
        for event in events.Scalars(tag):
            yield event.step, {tag: event.value}


def trackio_rows(out: Path) -> Iterator[tuple[int, dict[str, float]]]:
    (base,) = (out / "trackio").glob("*.db")
    connection = sqlite3.connect(base)
    try:
        rows = connection.execute("SELECT run_name, metrics FROM metrics ORDER BY id").fetchall()
    finally:
        connection.close()
    assert {name for name, _ in rows} == {"aent-seed0"}, "a resume goes on with the same run"
    yield from _with_step(json.loads(metrics) for _, metrics in rows)


def wandb_rows(out: Path) -> Iterator[tuple[int, dict[str, float]]]:
    from wandb.proto import wandb_internal_pb2 as proto

    files = sorted((out / "runs" / "aent-seed0" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2, "one for the run and one for its resume"
    known: set[tuple[str, str, str]] = set()
    for file in files:
        for data in _framed(file.read_bytes()):
            record = proto.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "run":
                known.add((record.run.run_id, record.run.run_group, record.run.display_name))
                assert not record.run.git.remote_url
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                yield from _with_step([{item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}])
    assert [(group, name) for _, group, name in known] == [("night", "aent-seed0")], "the resume has the run's own id"


def _with_step(rows: Any) -> Iterator[tuple[int, dict[str, float]]]:
    for row in rows:
        if "train/global_step" in row:
            yield row["train/global_step"], row


def _framed(data: bytes, block: int = 32768) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's framing, after W&B's seven bytes of its own."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if not kind:
            return
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield whole
            whole = b""


ROWS = {"tensorboard": tensorboard_rows, "trackio": trackio_rows, "wandb": wandb_rows}


@pytest.mark.parametrize("name", [tracker(name) for name in TRACKERS])
def test_a_tracker_shows_what_the_records_say_across_a_resume(tracked: Path, name: str) -> None:
    compare(tracked, by_step(ROWS[name](tracked)))


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.skipif("tensorboard" not in HERE, reason="tensorboard is not installed")
def test_the_diagnosis_reads_the_tensorboard_of_a_run(tracked: Path) -> None:
    from entrostat.observe.diagnose import read as read_log

    (curves,) = read_log(tracked / "runs" / "aent-seed0" / "tensorboard")
    assert [step for step, _ in curves.series("entropy")] == [1, 2, 3, 4]
    assert [step for step, _ in curves.series("accuracy")] == [0, 2, 4]


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.skipif("tensorboard" not in HERE, reason="tensorboard is not installed")
def test_the_plain_trainer_logs_to_tensorboard(tmp_path: Path) -> None:
    script = Path(__file__).with_name("tensorboard_script.py")
    environment = {**os.environ, "TENSORBOARD_LOGGING_DIR": str(tmp_path / "tensorboard"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/entropy_control/clamped_entropy")] == [1, 2]
