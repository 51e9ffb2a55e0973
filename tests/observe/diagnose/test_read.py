"""Every kind of log gives the same curves, and every kind of damage one sentence."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat import cli
from entrostat.observe.analysis.curves import Curves
from entrostat.observe.diagnose import diagnose_run, read
from entrostat.observe.records import EvaluationRecord, StepRecord, encode

STEPS = range(1, 61)


def entropy(step: int) -> float:
    return 0.5 if step < 30 else 0.1


def reward(step: int) -> float:
    return 0.2 + 0.001 * step


def own(path: Path) -> Path:
    lines = [
        encode(StepRecord(step=s, entropy=entropy(s), clamped_entropy=entropy(s), kept_mass=1.0, coef=0.0, bonus=0.0,
                          reward=reward(s)))
        for s in STEPS
    ]  # fmt: skip
    path = path / "records.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def trl(path: Path) -> Path:
    history = [{"step": s, "entropy": entropy(s), "reward": reward(s), "epoch": 0.1} for s in STEPS]
    path = path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": [*history, {"step": 60, "train_runtime": 3.0}]}, indent=2))
    return path


def trl_checkpoints(path: Path) -> Path:
    for number, last in ((9, 9), (60, 60)):
        (path / f"checkpoint-{number}").mkdir()
        history = [{"step": s, "entropy": entropy(s), "reward": reward(s)} for s in STEPS if s <= last]
        (path / f"checkpoint-{number}" / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    return path


def verl_lines(path: Path) -> Path:
    lines = [{"step": s, "data": {"actor/entropy": entropy(s), "critic/rewards/mean": reward(s)}} for s in STEPS]
    path = path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 61, "da')
    return path


def verl_console(path: Path) -> Path:
    lines = ["(TaskRunner pid=7) {'actor': {'lr': 1e-6}}", "Training Progress:   0%|  | 0/60"]
    for s in STEPS:
        lines.append(
            f"(TaskRunner pid=7) step:{s} - global_seqlen/min:121 - actor/entropy:np.float64({entropy(s)})"
            f" - critic/rewards/mean:{reward(s)} - timing_s/step:1.5e+01"
        )
    path = path / "run.log"
    path.write_text("\n".join(lines) + "\n")
    return path


def table(path: Path) -> Path:
    head = "Step,my run - actor/entropy,my run - critic/rewards/mean,name"
    lines = [f"{s},{entropy(s)},{reward(s)},mine" for s in STEPS]
    path = path / "export.csv"
    path.write_text("\n".join([head, *lines, ""]))
    return path


@pytest.mark.parametrize("write", [own, trl, trl_checkpoints, verl_lines, verl_console, table])
def test_one_run_reads_the_same_from_every_log(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    (curves,) = read(write(tmp_path))
    assert curves.series("entropy") == [(s, entropy(s)) for s in STEPS]
    assert curves.series("reward") == [(s, pytest.approx(reward(s))) for s in STEPS]
    (found,) = diagnose_run(write(tmp_path) if write is not trl_checkpoints else tmp_path)
    assert [finding.kind for finding in found.findings if finding.kind != "idle"] == ["collapsed"]


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "a byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "lines of Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "semicolons and decimal commas": lambda text: text.replace(",", ";").replace(".", ",").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "quotes": lambda text: "\n".join(f'"{line}"'.replace(",", '","') for line in text.splitlines()).encode(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_a_table_may_be_spelled_in_many_ways(tmp_path: Path, spelling: str, suffix: str) -> None:
    path = tmp_path / f"log{suffix}"
    path.write_bytes(SPELLINGS[spelling](table(tmp_path).read_text()))
    (curves,) = read(path)
    assert curves.series("entropy") == [(s, entropy(s)) for s in STEPS]
    assert curves.series("reward") == [(s, pytest.approx(reward(s))) for s in STEPS]


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard is not installed")
def test_a_tensorboard_directory_reads_the_same(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "tb"))
    for s in STEPS:
        writer.add_scalar("train/entropy", entropy(s), s)
    writer.close()
    (curves,) = read(tmp_path)
    assert curves.series("entropy") == [(s, pytest.approx(entropy(s))) for s in STEPS]


def test_a_step_logged_twice_counts_as_logged_last(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,entropy\n1,0.5\n2,0.9\n2,0.4\n")
    (curves,) = read(path)
    assert curves.series("entropy") == [(1, 0.5), (2, 0.4)]


def test_a_validation_score_is_the_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [{"step": s, "data": {"actor/entropy": 0.5, "val-core/gsm8k/acc/mean@4": 0.6}} for s in STEPS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (curves,) = read(path)
    assert curves.series("accuracy")[0] == (1, 0.6)


def written(name: str, text: str | bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        (path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return path / name

    return write


EVALUATION = encode(EvaluationRecord(step=0, split="test", pass_at={"1": 0.2}, problems=4, samples=1, temperature=1.0))
BAD: list[tuple[Callable[[Path], Path], str]] = [
    (lambda path: path / "missing", "does not exist"),
    (lambda path: path, "holds no log that entrostat can read"),
    (written("records.jsonl", ""), "is empty"),
    (written("records.jsonl", '{"schema": 2, "kind": "step", "step": 1}\n'), "schema 2 is not the 1"),
    (written("records.jsonl", EVALUATION + "\n" + '{"schema": 1, "ki\n'), "line 2: not a JSON line"),
    (written("records.jsonl", EVALUATION + "\n"), "holds no step with an entropy"),
    (written("records.jsonl", EVALUATION + "\n" + '{"schema": 3, "kind": "step", "step": 1}\n'), "line 2: schema 3"),
    (written("trainer_state.json", '{"log_history": [{"step": 1,'), "no complete JSON object"),
    (written("trainer_state.json", '{"log_history": 3}'), "no list named log_history"),
    (written("trainer_state.json", '{"log_history": [{"step": 1, "loss": 0.1}]}'), "has no entropy"),
    (written("config.json", '{"model_type": "llama"}'), "no list named log_history"),
    (written("deep.json", "[" * 100_000), "is no log that entrostat can read"),
    (written("a.jsonl", '{"step": 1, "data": {"actor/entropy": 0.5}}\nnonsense\n{"step": 2}\n'), "line 2: not a JSON"),
    (written("a.jsonl", '{"step": 1, "data": {"actor/entropy": 0.5}}\n{"other": 2}\n'), "line 2: no step is given"),
    (written("a.jsonl", '{"step": 1, "data": {"actor/entropy_of": 0.5}}\n'), "the nearest are actor/entropy_of"),
    (written("a.log", "no number here - nothing\nstep:x - y\n"), "no line like"),
    (written("a.csv", "step,entropy\n1,0.5,7\n2,0.5\n"), "line 2: 3 fields under 2 columns"),
    (written("a.csv", "time,entropy\n1,0.5\n"), "no column of steps"),
    (written("a.csv", "step,entropy\none,0.5\n"), "is 'one', which is no whole number"),
    (written("a.csv", "step,entropy\n1,\n"), "has no entropy"),
    (written("a.csv", "step,entropy\n1,-0.5\n"), "negative entropy"),
    (written("a.csv", 'step,entropy\n1,"0.5\n'), "is no table"),
    (written("photo.png", b"\x89PNG\r\n\x1a\n\xff\xfe"), "is not UTF-8 text"),
    (written("notes.txt", "a poem\n"), "is no log that entrostat can read"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "says"), BAD, ids=[says for _, says in BAD])
def test_bad_input_gets_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    make: Callable[[Path], Path],
    says: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["entrostat", "diagnose", str(make(tmp_path))])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


@pytest.mark.skipif(bool(importlib.util.find_spec("tensorboard")), reason="tensorboard is installed")
def test_without_tensorboard_its_directory_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"")
    with pytest.raises(ImportError, match="pip install tensorboard"):
        read(tmp_path)


def test_a_run_without_steps_has_nothing_to_diagnose(tmp_path: Path) -> None:
    described = {"schema": 1, "label": "a", "recipe": "none", "seed": 0, "steps": 5, "status": "waiting"}
    (tmp_path / "run.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="holds no step yet"):
        read(tmp_path)


def test_the_answer_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["entrostat", "diagnose", str(own(tmp_path)), "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    (found,) = json.loads(capsys.readouterr().out)
    assert ended.value.code in (0, None)
    assert found["steps"] == [1, 60]
    assert found["findings"][0]["kind"] == "collapsed"
    assert found["advice"][0]["python"].startswith("es.recipes.aent(")


def test_curves_are_held_in_one_type(tmp_path: Path) -> None:
    assert {type(curves) for curves in [*read(own(tmp_path)), *read(table(tmp_path))]} == {Curves}
