"""The command on the embedded model, its page, and the input it rejects."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import entrostat as es
from entrostat import cli
from entrostat.observe.calibrate import Calibration, calibrate, write_page
from entrostat.observe.calibrate._calibration import read_prompts

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def found() -> Calibration:
    torch.manual_seed(5)
    return calibrate(prompts=8, samples=4)


def test_the_embedded_model_is_measured_where_it_is_known_to_start(found: Calibration) -> None:
    assert found.responses == 32
    assert found.tokens <= 32 * 12
    assert 0.2 < found.entropy < 0.5  # 0.34 nats on the first step of the default job
    assert not found.push.signed
    assert found.push.through == "model"


def test_the_proposal_can_be_built_and_lies_below_the_start(found: Calibration) -> None:
    recipe = eval(found.proposal.python, {"es": es})
    assert recipe.name == "aent"
    assert found.proposal.low < found.proposal.high < found.entropy
    assert 0 < found.proposal.initial < found.proposal.ceiling
    assert found.push.share(found.proposal.initial) == pytest.approx(0.05, rel=0.1)
    kept = found.measured.by_count[found.proposal.keep or 0]
    assert kept.mass >= 0.99


def test_the_same_seed_gives_the_same_answer_and_leaves_the_random_state_alone(found: Calibration) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = calibrate(prompts=8, samples=4)
    assert torch.rand(1) == expected
    assert again == found


def test_the_page_holds_everything_and_loads_nothing(found: Calibration, tmp_path: Path) -> None:
    text = write_page(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert text.count("<title id=") == 4
    assert "<script" not in text
    assert not re.search(r"(src|href)=", text)
    assert "nan" not in text.lower().replace("financ", "")
    assert found.proposal.python.split("(")[0] in text
    for reason in found.proposal.reasons:
        assert len(reason) > 100


def test_foreign_names_are_escaped(found: Calibration, tmp_path: Path) -> None:
    import dataclasses

    hostile = dataclasses.replace(found, model="<script>alert(1)</script>", data="a\x1b[31mb")
    text = write_page(hostile, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "\x1b" not in hostile.as_text()


def test_without_a_reward_the_signs_are_random_and_it_says_so(tmp_path: Path) -> None:
    data = tmp_path / "prompts.jsonl"
    data.write_text('{"prompt": "<bos> 4 7 9 > 20 :"}\n{"prompt": "<bos> 2 3 > 5 :"}\n')
    one = calibrate(data=data, samples=2, max_new_tokens=6, through="head")
    assert (one.responses, one.reward, one.push.signed, one.push.through) == (4, None, True, "head")
    assert "random signs" in one.proposal.reasons[-1]
    assert "head only" in one.proposal.reasons[-1]


def test_json_is_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    arguments = ["calibrate", "--prompts", "2", "--samples", "2", "--json", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["entrostat", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    answer = json.loads(capsys.readouterr().out)
    assert ended.value.code in (0, None)
    assert answer["proposal"]["python"].startswith("es.recipes.aent(")
    assert len(answer["measured"]["entropies"]) == 9
    assert out.is_file()


def test_every_kind_of_prompt_file_is_read(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hi"}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": chat}) + "\n\n" + json.dumps({"prompt": "x"}))
    (tmp_path / "a.csv").write_text('id,prompt\n1,"two\nlines"\n2,\n')
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert read_prompts(tmp_path / "a.jsonl") == [chat, "x"]
    assert read_prompts(tmp_path / "a.csv") == ["two\nlines"]
    assert read_prompts(tmp_path / "a.txt") == ["one", "two"]


def file(name: str, content: bytes) -> Callable[[Path], list[str]]:
    def write(path: Path) -> list[str]:
        (path / name).write_bytes(content)
        return ["--data", str(path / name)]

    return write


BAD: list[tuple[Callable[[Path], list[str]], str]] = [
    (lambda path: ["--data", str(path / "missing.jsonl")], "cannot be read"),
    (file("a.jsonl", b""), "holds no prompt"),
    (file("a.jsonl", b'{"prompt": "x"}\n{"pro'), "line 2: not a JSON line"),
    (file("a.jsonl", b'{"question": "x"}\n'), "line 1: no text or chat under 'prompt'"),
    (file("a.csv", b"question\nx\n"), "no column 'prompt'"),
    (file("a.txt", b"\xff\xfe\x00"), "not UTF-8"),
    (lambda path: ["--model", str(path)], "`model` must be a directory"),
    (lambda _: ["--samples", "1"], "`samples` must be at least 2"),
    (lambda _: ["--temperature", "0"], "`temperature` must be above 0"),
    (lambda _: ["--through", "all"], "`through` must be 'model' or 'head'"),
    (lambda path: ["--out", str(path / "no" / "page.html")], "`out` must be a file in a directory that exists"),
    (file("chat.jsonl", b'{"prompt": [{"role": "user", "content": "x"}]}\n'), "no chat template"),
]


@pytest.mark.parametrize(("make", "says"), BAD, ids=[says for _, says in BAD])
def test_bad_input_gets_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    make: Callable[[Path], list[str]],
    says: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["entrostat", "calibrate", *make(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert (ended.value.code, captured.out) == (2, "")
    assert says in captured.err
    assert "Traceback" not in captured.err
