"""Whatever a command is pointed at: it copes, or says one sentence and ends with exit code 2; never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrostat import cli
from entrostat.jobs.runs import JobDirectory
from entrostat.jobs.settings import Job, RecipeJob
from entrostat.observe.records import EvaluationRecord, StepRecord, encode

pytest.importorskip("plotly")
pytest.importorskip("trl")
RUN = Path("runs") / "aent-seed0"
SAMPLE = {
    "step": 4, "split": "test", "problem": 1, "prompt": "4 7 9 > 20 :", "target": 20, "completion": "4 + 7 + 9",
    "reward": 1.0,
}  # fmt: skip
TOKEN = {
    "schema": 1, "step": 4, "split": "test", "problem": 0, "prompt": "4 7 9 > 20 :", "reward": 1.0, "cut": 0,
    "tokens": ["9"], "entropy": [0.31], "clamped_entropy": [0.3], "chosen": [0.8], "chosen_kept": [True],
    "kept_mass": [0.99], "top": [[["9", 0.8, True], ["4", 0.1, False]]],
}  # fmt: skip


def step(number: int) -> StepRecord:
    return StepRecord(
        step=number, entropy=0.3, clamped_entropy=0.3, kept_mass=0.9, coef=0.02, bonus=-0.01, reward=0.5,
        band_low=0.2, band_high=0.4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that has ended, with everything a run leaves."""
    out = tmp_path_factory.mktemp("pristine") / "job"
    directory = JobDirectory(out)
    recipe = RecipeJob(name="aent", parameters={"low": 0.2, "high": 0.4})
    directory.create(Job(steps=4, recipes=(recipe,)))
    run = directory.run(recipe, 0)
    run.update(status="done", wall_seconds=1.0, process_seconds=1.0)
    passes = {"1": 0.25, "8": 0.75}
    test = EvaluationRecord(step=4, split="test", pass_at=passes, problems=4, samples=8, temperature=1.0)
    lines = [*(encode(step(number)) for number in range(1, 5)), encode(test)]
    run.records.write_text("\n".join(lines) + "\n")
    run.samples.write_text(2 * (json.dumps(SAMPLE) + "\n"))
    run.tokens.write_text(2 * (json.dumps(TOKEN) + "\n"))
    return out


@pytest.fixture
def job(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "job")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_training(*_: object) -> None:
        raise ValueError("A run would start.")

    monkeypatch.setattr("entrostat.observe.report._write.plotly_script", lambda: "")
    monkeypatch.setattr("entrostat.jobs.runs._pool._spawn", no_training)
    monkeypatch.chdir(tmp_path)


def outcome(*arguments: object) -> tuple[int, str]:
    """Run a command; return its exit code and what it complained of: one sentence with exit code 2, else nothing."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["entrostat", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    said = [line for line in err.getvalue().splitlines() if not line.startswith("warning: ")]
    assert code in (0, 2), (code, said)
    assert len(said) == (1 if code else 0), said
    assert not code or (said[0].startswith("error: ") and len(said[0]) > 20), said
    return code, said[0] if said else ""


def commands(place: Path) -> dict[str, list[object]]:
    return {
        "report": ["report", place, "--out", place.parent / "report.html"],
        "diagnose": ["diagnose", place],
        "cite": ["cite", place],
        "watch": ["watch", place, "--once"],
        "run": ["run", "--resume", "--out", place],
    }


READ = {
    "report": {"run.json", "records.jsonl", "tokens.jsonl"},
    "diagnose": {"run.json", "records.jsonl"},
    "cite": {"run.json"},
    "watch": {"run.json", "records.jsonl"},
    "run": {"job.toml", "run.json", "records.jsonl", "tokens.jsonl"},
}
"""What each command reads, and so has to notice damage of; a report shows samples where there are no tokens."""
FILES = {name: RUN / name for name in ("run.json", "records.jsonl", "samples.jsonl", "tokens.jsonl")} | {
    "job.toml": Path("job.toml")
}
Damage = Callable[[Path], object]


def rewrite(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def cut_line(data: bytes) -> bytes:
    """Half of the first line, and the rest whole."""
    first, _, rest = data.partition(b"\n")
    return first[: len(first) // 2] + b"\n" + rest


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


FATAL: dict[str, Damage] = {
    "noise": rewrite(lambda data: random.Random(0).randbytes(2000)),
    "cut": rewrite(cut_line),
    "another shape": rewrite(lambda data: b'[1, 2]\n"text"\n'),
    "deep": rewrite(lambda data: b"[" * 100_000 + b"\n"),
    "a long number": rewrite(lambda data: b"9" * 5000 + b"\n"),
}
LENIENT: dict[str, Damage] = {
    "empty": rewrite(lambda data: b""),
    "missing": Path.unlink,
    "a folder": folder,
    "another schema": rewrite(lambda data: data.replace(b'"schema": 1', b'"schema": 99')),
    "NaN": rewrite(lambda data: data.replace(b"0.3", b"NaN").replace(b"0.2", b"nan")),
    "endless": rewrite(lambda data: data.replace(b"0.3", b"1e999").replace(b"0.2", b"1e999")),
    "huge": rewrite(lambda data: data.replace(b"0.3", b"1e308").replace(b"0.25", b"-1e308")),
    "a huge step": rewrite(lambda data: data.replace(b'"step": 4', b'"step": ' + b"9" * 400)),
    "zero steps": rewrite(lambda data: data.replace(b"steps = 4", b"steps = 0").replace(b'"steps": 4', b'"steps": 0')),
    "negative": rewrite(lambda data: data.replace(b'"step": ', b'"step": -').replace(b'"seed": ', b'"seed": -')),
    "text for numbers": rewrite(lambda data: data.replace(b": 4", b': "four"').replace(b"= 4", b'= "four"')),
    "null": rewrite(lambda data: data.replace(b": 4", b": null").replace(b'"aent"', b"null")),
    "no UTF-8": rewrite(lambda data: data.replace(b"aent", b"\xff\xfe").replace(b"test", b"\xff")),
    "surrogates": rewrite(lambda data: data.replace(b"aent", b"\\ud800").replace(b"test", b"\\udc00")),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [*FATAL, *LENIENT])
def test_a_damaged_file(job: Path, name: str, damage: str) -> None:
    (FATAL | LENIENT)[damage](job / FILES[name])
    for command, arguments in commands(job).items():
        code, said = outcome(*arguments)
        if damage in FATAL and name in READ[command]:
            assert code == 2, (command, name, damage)
        if code:
            clear = (name, "A run would start", "holds no", "is missing: ", "unknown recipe", "`")
            assert any(words in said for words in clear), (command, said)


PLACES: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "empty folder": Path.mkdir,
    "empty file": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(random.Random(1).randbytes(5000)),
    "text": lambda path: path.write_text("nothing of interest\n"),
    "nothing but folders": lambda path: (path / "runs" / "aent-seed0").mkdir(parents=True),
    "a gigabyte of nothing": lambda path: sparse(path, 1 << 30),
    "a program": lambda path: shutil.copy(sys.executable, path),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a log that is a link to nowhere": lambda path: [path.mkdir(), (path / "records.jsonl").symlink_to("nowhere")],
    "a checkpoint without its state": lambda path: (path / "checkpoint-5" / "trainer_state.json").mkdir(parents=True),
    "event files of noise": lambda path: [path.mkdir(), (path / "events.out.tfevents.1.x").write_bytes(b"\7" * 999)],
}


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


@pytest.mark.parametrize("place", PLACES)
def test_a_place_without_a_run(tmp_path: Path, place: str) -> None:
    path = tmp_path / "place"
    PLACES[place](path)
    for command, arguments in commands(path).items():
        code, said = outcome(*arguments)
        assert code == 2, command
        assert "Errno" not in said
    if place != "missing":
        assert outcome("run", path)[0] == 2 or place == "empty file"  # an empty job is the default job


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json", ".log", ".toml"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0\1\2" * 50, b"{}\n", b"[]\n", b'{"step": 1}\n{"st', b"step,entropy\n1,nan\n2,1e999\n", b"a,b\n1,2\n"],
)
def test_a_file_that_is_no_log_prompts_or_job(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    for command in ("report", "cite", "watch"):
        assert outcome(command, path)[0] == 2
    assert outcome("diagnose", path)[0] == 2
    if content:
        assert outcome("run", path)[0] == 2
        if suffix in (".jsonl", ".csv"):
            assert outcome("calibrate", "--data", path, "--model", tmp_path / "no-model")[0] == 2


RECORDS: dict[str, tuple[Callable[[str], str], str]] = {
    "a later version": (lambda text: text.replace('"schema": 1', '"schema": 2'), "line 1: schema 2"),
    "two versions": (lambda text: text.replace('"schema": 1', '"schema": 2', 2), "line 1: schema 2"),
    "a later version at its end": (lambda text: text + '{"schema": 2, "kind": "step"}\n', "line 6: schema 2"),
    "a field of a later version": (lambda text: text.replace('"coef"', '"flux": 1, "coef"'), "unknown field `flux`"),
    "no entropy but NaN": (lambda text: text.replace("0.3,", "NaN,"), "no step with an entropy"),
}
"""Damage of a log that stands alone, and the words for it."""


@pytest.mark.parametrize("damage", RECORDS)
def test_records_alone(job: Path, tmp_path: Path, damage: str) -> None:
    change, words = RECORDS[damage]
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "records.jsonl").write_text(change((job / RUN / "records.jsonl").read_text()))
    for path in (folder, folder / "records.jsonl"):
        assert words in outcome("diagnose", path)[1]
    if "NaN" not in damage:
        assert words in outcome("watch", folder, "--once")[1]


def test_a_description_that_lost_its_label(job: Path) -> None:
    path = job / RUN / "run.json"
    path.write_text(path.read_text().replace('"label"', '"labal"'))
    assert outcome(*commands(job)["run"])[0] in (0, 2)


def test_two_versions_side_by_side(job: Path) -> None:
    shutil.copytree(job / RUN, job / "runs" / "none-seed0")
    described = job / "runs" / "none-seed0" / "run.json"
    described.write_text(described.read_text().replace('"schema": 1', '"schema": 2'))
    for command, arguments in commands(job).items():
        code, said = outcome(*arguments)
        assert code == 2, command
        assert "none-seed0/run.json" in said


def test_a_file_that_may_not_be_read(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read anything, so the refusal is made here."""
    opened = Path.open

    def refused(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name in ("records.jsonl", "log.csv", "job.toml"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    (tmp_path / "log.csv").write_text("step,entropy\n1,0.5\n")
    monkeypatch.setattr(Path, "open", refused)
    for arguments in (["diagnose", "log.csv"], ["diagnose", job], ["report", job], ["run", job / "job.toml"]):
        code, said = outcome(*arguments)
        assert code == 2
        assert "permission denied" in said.lower(), said


TABLES = {
    "head alone": (b"step,entropy\n", "no numbers"),
    "another's alphabet": ("step,entropy,r\u00e9compense\n1,0.5,0.1\n".encode("latin-1"), "not UTF-8"),
    "UTF-16": ("step,entropy\n1,0.5\n".encode("utf-16"), "not UTF-8"),
    "NaN alone": (b'{"log_history": [{"step": 1, "entropy": NaN}]}', "nowhere a finite number"),
    "a step beyond counting": (b'{"log_history": [{"step": 1%s, "entropy": 0.5}]}' % (b"0" * 400), "beyond 2^53"),
    "per cent": (b"step,entropy\n1,50%\n", "no numbers"),
    "two runs": (b"Step,a - actor/entropy,b - actor/entropy\n1,0.5,0.1\n", "two columns of one quantity"),
    "a sentence for a step": (b"step;entropy\nfirst;0,5\n", "no whole number"),
}


@pytest.mark.parametrize("content", TABLES)
def test_a_table_that_cannot_be_diagnosed(tmp_path: Path, content: str) -> None:
    data, words = TABLES[content]
    path = tmp_path / "log.csv"
    path.write_bytes(data)
    assert words in outcome("diagnose", path)[1]


def test_prompts_that_the_tokenizer_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("What is the capital of France?\n")
    assert "tokenizer cannot read the prompts" in outcome("calibrate", "--data", tmp_path / "prompts.txt")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "JOB", "--out", "FILE/report.html"],
        ["report", "JOB", "--out", "JOB"],
        ["run", "--out", "FILE/out"],
        ["run", "--out", "JOB"],
        ["run", "JOB"],
        ["run", "--resume", "--out", "FILE"],
        ["run", "--report-to", "nothing"],
        ["bench", "--quick", "--out", "FILE/out"],
        ["bench", "--quick", "--out", "FILE"],
        ["lab", "--all", "--quick", "--report", "FILE/out"],
        ["lab", "no-such-claim"],
        ["recipes", "no-such-recipe"],
        ["calibrate", "--data", "JOB"],
        ["calibrate", "--data", "nowhere.jsonl"],
        ["calibrate", "--model", "FILE"],
        ["calibrate", "--model", "JOB"],
        ["calibrate", "--prompts", "0"],
        ["calibrate", "--temperature", "nan"],
        ["calibrate", "--temperature", "0"],
        ["calibrate", "--out", "FILE/page.html"],
        ["watch", "JOB", "--every", "nan"],
        ["watch", "JOB", "--every", "0"],
        ["watch", "JOB", "--page", "--port", "70000"],
        ["watch", "JOB", "--page", "--once"],
        ["diagnose", "JOB/job.toml"],
    ],
    ids=" ".join,
)
def test_an_argument_that_cannot_be(job: Path, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    places = [text.replace("JOB", str(job)).replace("FILE", str(tmp_path / "file")) for text in arguments]
    assert outcome(*places)[0] == 2


def test_what_reads_nothing_works_anywhere() -> None:
    for arguments in (["doctor", "--json"], ["recipes"], ["recipes", "aent"], ["lab"]):
        assert outcome(*arguments)[0] == 0


@pytest.fixture(scope="module")
def mutable(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(pristine, tmp_path_factory.mktemp("mutable") / "job")


CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(["put", "cut", "double"]), st.binary(max_size=3)),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for where, kind, put in changes:
        at = int(where * len(data))
        if kind == "put":
            data = data[:at] + put + data[at + len(put) :]
        elif kind == "cut":
            data = data[:at] + data[at + 7 :]
        else:
            data = data[:at] + data[at : at + 9] + data[at:]
    return data


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(FILES)), changes=CHANGES)
def test_any_bytes_changed(mutable: Path, pristine: Path, name: str, changes: list[tuple[float, str, bytes]]) -> None:
    original = (pristine / FILES[name]).read_bytes()
    (mutable / FILES[name]).write_bytes(mutated(original, changes))
    try:
        for command, arguments in commands(mutable).items():
            if name in READ[command]:
                outcome(*arguments)
    finally:
        shutil.rmtree(mutable)
        shutil.copytree(pristine, mutable)
