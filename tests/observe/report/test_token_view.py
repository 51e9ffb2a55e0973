"""The token view: it takes every figure from tokens.jsonl, keeps to its size, and hostile text stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrostat.observe.report import _answers, report_page
from entrostat.observe.report._answers import (
    LEVELS,
    LONGEST,
    MOST,
    Answer,
    TokenView,
    answers,
    chosen_answers,
    marked,
)

from .conftest import answer
from .test_page import HOSTILE, without_plotly

pytest.importorskip("plotly")
MakeRun = Callable[..., Path]
STEPS = (0, 20, 40, 60)


def story() -> list[dict[str, Any]]:
    """Three problems at four steps, one of them right, and the test split at the ends only."""
    some = [
        answer(["3", " +", "\n", f" {step}"], step=step, problem=problem, reward=float(problem == 1))
        for step in STEPS
        for problem in range(3)
    ]
    return some + [answer(["9"], step=step, split="test") for step in (0, 60)]


def island(text: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text)
    assert found is not None
    return json.loads(found[1])


def written(directory: Path) -> str:
    return without_plotly(report_page(directory))


def read(path: Path) -> list[Answer]:
    return answers(path / "tokens.jsonl")


def test_a_run_without_the_file_has_no_view(make_run: MakeRun, tmp_path: Path) -> None:
    assert read(make_run("none")) == []
    assert 'id="tokens"' not in written(tmp_path)


def test_every_figure_of_a_token_reaches_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", seed=3, answers=story())
    data = island(written(tmp_path), "token-data")
    (run,) = data["runs"]
    assert (run["g"], run["seed"]) == (0, 3)
    assert {one["step"] for one in run["answers"]} == set(STEPS)
    assert {one["split"] for one in run["answers"]} == {"validation"}  # the split evaluated most often
    assert [one["right"] for one in run["answers"][:3]] == [False, True, False]
    last = run["answers"][-1]
    assert data["prompts"][last["prompt"]] == "4 7 9 > 20 :"
    assert [data["texts"][token[0]] for token in last["tokens"]] == ["3", "␣+", "↵", "␣60"]
    _, level, entropy, clamped, chance, mass, kept, top = last["tokens"][-1]
    assert (level, entropy, clamped, chance, mass, kept) == (LEVELS, 1.0, 0.5, 0.125, 0.9, 0)
    assert [(data["texts"][text], share, keeps) for text, share, keeps in top] == [
        ("␣60", 0.75, 1),
        ("alternative", 0.0625, 0),
    ]


def test_the_last_answers_stand_in_the_page_itself(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", answers=story())
    make_run("aent", answers=story()[:3])
    text = written(tmp_path)
    assert text.count("seed 0, step 60</small>") == 1
    assert text.count("seed 0, step 0</small>") == 1
    assert f'<span class="h{LEVELS} dropped" title="1.00 nats, drawn at 12.5%"><i>·</i>60</span>' in text


def test_shades_go_by_the_square_root() -> None:
    view = TokenView(runs=[], greatest=4.0)
    assert [view.level(entropy) for entropy in (0.0, 1e-9, 1.0, 4.0, 9.0)] == [0, 1, 6, LEVELS, LEVELS]
    assert TokenView(runs=[], greatest=0.0).level(0.0) == 0


@pytest.mark.parametrize("text", HOSTILE)
def test_no_character_of_a_token_is_hidden(text: str) -> None:
    assert not re.search(
        "[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x1f\x7f\ud800-\udfff\u2028 ]", marked(text)
    )


def test_hostile_tokens_are_text(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", answers=[answer(HOSTILE, others=HOSTILE, prompt="".join(HOSTILE))])
    text = written(tmp_path)
    assert not re.search(r"<(img|svg/|iframe|a )|<script>document", text)
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text)
    assert all(marked(each) in island(text, "token-data")["texts"] for each in HOSTILE)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        "[" * 200_000,
        json.dumps({**answer(["a"]), "schema": 2}),
        json.dumps({**answer(["a"]), "entropy": []}),
        json.dumps({**answer(["a"]), "entropy": [None]}),
        json.dumps({**answer(["a"]), "entropy": [float("nan")]}),
        json.dumps({**answer(["a"]), "step": float("inf")}),
        json.dumps({**answer(["a"]), "top": [[["a"]]]}),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(make_run: MakeRun, line: str) -> None:
    path = make_run("none", answers=[answer(["a"])])
    with (path / "tokens.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"tokens\.jsonl, line 2: not an answer token by token"):
        read(path)


def test_half_a_character_at_the_end_of_a_token_is_read(make_run: MakeRun) -> None:
    (one,) = read(make_run("none", answers=[answer(["a\ud83d"])]))
    assert one.tokens == ("a\ud83d",)
    assert marked(one.tokens[0]) == "a⟨U+D83D⟩"


def test_a_last_line_that_a_kill_cut_short_is_left_out(make_run: MakeRun) -> None:
    path = make_run("none", answers=[answer(["a"])])
    with (path / "tokens.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"schema": 1, "step"')
    assert len(read(path)) == 1


def test_long_answers_are_cut_and_say_so(make_run: MakeRun) -> None:
    path = make_run("none", answers=[answer(["a"] * 300, cut=5)])
    (one,) = chosen_answers(read(path), 1000)
    assert (len(one.tokens), one.cut) == (LONGEST, 300 - LONGEST + 5)


@pytest.mark.parametrize("allowed", [10_000, 400, 150, 30, 5])
def test_less_room_means_fewer_steps_and_problems_but_both_ends(make_run: MakeRun, allowed: int) -> None:
    lines = [answer(["a"] * 10, step=step, problem=problem) for step in range(0, 100, 5) for problem in range(8)]
    some = chosen_answers(read(make_run("none", answers=lines)), allowed)
    assert sum(len(one.tokens) for one in some) <= max(allowed, 16)
    assert {min(one.step for one in some), max(one.step for one in some)} == {0, 95}


def test_the_view_keeps_to_its_share_of_the_page_whatever_the_texts_are(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = MOST // 10
    monkeypatch.setattr(_answers, "MOST", most)

    def other(place: int, number: int) -> str:
        return "\u202e" * 30 + f"{place} {number}"

    for seed in range(2):
        lines = [
            answer(["a"] * 40, step=step, problem=problem, prompt="\u202e" * 5000, top=[
                [[other(place, 1000 * step + problem), 0.1, True]] * 5 for place in range(40)
            ]) for step in range(3) for problem in range(3)
        ]  # fmt: skip
        make_run("none", seed=seed, answers=lines)
    unbounded = 2 * 9 * 40 * len(marked(other(0, 0)))
    assert unbounded > most
    assert len(json.dumps(island(written(tmp_path), "token-data"))) <= most
