"""A dataset of the user's own: what is read, what each row becomes, and what is refused."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from entrostat import cli
from entrostat.jobs.runs import Task, build_task
from entrostat.jobs.settings import from_table
from entrostat.tasks import countdown, warm_start_path

ROWS = [{"question": f"{n} + 1 :", "result": f"count up\n#### {n + 1}", "level": n % 3} for n in range(40)]
DATA = {"prompt": "question", "answer": "result", "answer_from": "marker", "chat_template": False, "reward": "exact"}
TEMPLATE = (
    "<s>{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(warm_start_path())


@pytest.fixture
def chat() -> Any:
    """A tokenizer that reads anything, has a chat template and puts its first token before every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "<s>": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", bos_token="<s>")
    made.chat_template = TEMPLATE
    return made


def task(source: Path | str, tokenizer: Any, **data: Any) -> Task:
    return build_task(from_table({"data": {**DATA, "source": str(source), **data}}), tokenizer)


def write(path: Path, rows: Any = ROWS) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_countdown_is_what_it_was() -> None:
    made = build_task(from_table({}), None)
    problems = countdown.load("train")
    assert [one.prompt for one in made.train] == [countdown.prompt(one) for one in problems]
    answer = ["9 + 4 = 13 ; 7 + 13 = 20", ""]
    assert made.score(made.train[:2], answer) == [countdown.score(p, t) for p, t in zip(problems, answer, strict=False)]
    assert len(made.split("validation", 128)) == 128
    assert len(made.split("test", 5)) == 5


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_every_format_gives_the_same_problems(suffix: str, tmp_path: Path, tokenizer: Any) -> None:
    made = task(write(tmp_path / f"data.{suffix}"), tokenizer)
    parts = made.train, made.validation, made.test
    assert [len(part) for part in parts] == [32, 4, 4]
    prompts = [problem.prompt for part in parts for problem in part]
    assert sorted(prompts) == sorted(row["question"] for row in ROWS)
    one = made.train[3]
    assert one.target == str(int(one.prompt.split()[0]) + 1)
    assert made.score([one, one], [f" {one.target} ", "no"]) == [1.0, 0.0]


def test_a_directory_with_splits_of_its_own(tmp_path: Path, tokenizer: Any) -> None:
    from datasets import Dataset, DatasetDict

    splits = {"train": ROWS[:20], "validation": ROWS[20:30], "test": [*ROWS[30:], ROWS[0]]}
    DatasetDict({name: Dataset.from_list(rows) for name, rows in splits.items()}).save_to_disk(str(tmp_path / "saved"))
    made = task(tmp_path / "saved", tokenizer)
    assert (len(made.train), len(made.validation), len(made.test)) == (19, 10, 11)
    assert ROWS[0]["question"] not in [one.prompt for one in made.train], "a test problem is trained on"


def test_the_chat_template_is_the_models(tmp_path: Path, chat: Any) -> None:
    path = write(tmp_path / "a.jsonl")
    made = task(path, chat, chat_template=True, system="Be brief.", template="Q {x}: {prompt}")
    number = made.train[0].prompt.split(": ")[1].split()[0]
    assert made.train[0].prompt == f"<system>Be brief.\n<user>Q {{x}}: {number} + 1 :\n<assistant>"
    talk = [{"role": "user", "content": "1 ?"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "3"}]
    rows = [{**row, "question": [*talk, {"role": "user", "content": str(n)}]} for n, row in enumerate(ROWS)]
    made = task(write(tmp_path / "b.jsonl", rows), chat, chat_template=True)
    assert made.train[0].prompt.startswith("<user>1 ?\n<assistant>2\n<user>3\n<user>")


def test_long_prompts_are_left_out(tmp_path: Path, tokenizer: Any) -> None:
    rows = [*ROWS, {**ROWS[0], "question": "1 " * 50}]
    made = task(write(tmp_path / "a.jsonl", rows), tokenizer, max_prompt_tokens=40)
    assert len(made.train) + len(made.validation) + len(made.test) == 40


def test_a_reward_of_ones_own_gets_the_columns(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("my_reward_module.py").write_text(
        "def graded(prompts, completions, level, answer, **_):\n"
        "    return [0.25 * n + (text == right) for n, text, right in zip(level, completions, answer)]\n"
        "def short(completions, **_):\n    return [1.0]\n"
        "def strange(completions, **_):\n    return ['x' for _ in completions]\n"
        "def nan(completions, **_):\n    return [float('nan') for _ in completions]\n"
        "def one(completions, **_):\n    return 1.0\n"
        "def broken(completions, levle, **_):\n    return levle\n"
    )
    path = write(tmp_path / "a.jsonl")
    made = task(path, tokenizer, reward="my_reward_module.graded", correct_from=0.5)
    problems = sorted(made.train, key=lambda one: one.source["level"])
    rewards = made.score([problems[0], problems[-1]], [problems[0].target, "?"])
    assert rewards == [1.0, 0.5]
    assert made.correct([*rewards, 0.25]) == 2
    for name, words in {"short": "give 2 numbers", "strange": "finite numbers", "nan": "finite numbers"}.items():
        with pytest.raises(ValueError, match=words):
            task(path, tokenizer, reward=f"my_reward_module.{name}").score(problems[:2], ["", ""])
    for name, words in {"one": "not iterable", "broken": "'levle'"}.items():
        with pytest.raises(RuntimeError, match=f"the reward 'my_reward_module.{name}' failed with TypeError.*{words}"):
            task(path, tokenizer, reward=f"my_reward_module.{name}").score(problems[:2], ["", ""])


def test_a_column_that_some_rows_lack_is_none_there(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("reward_of_hints.py").write_text(
        "def hinted(hint, **_):\n    return [float(one is not None) for one in hint]\n"
    )
    rows = [{**row, "hint": "h"} if place % 2 else row for place, row in enumerate(ROWS)]
    made = task(write(tmp_path / "a.jsonl", rows), tokenizer, reward="reward_of_hints.hinted")
    wanted = [float(int(one.prompt.split()[0]) % 2) for one in made.train]
    assert made.score(made.train, [""] * len(made.train)) == wanted


REFUSED = [
    ({"prompt": "questoin"}, "Did you mean 'question'?"),
    ({"answer": "rseult"}, "Did you mean 'result'?"),
    ({"answer_from": "boxed"}, "train row 1: `result` must hold an answer"),
    ({"train_split": "trian"}, "Did you mean 'train'?"),
    ({"test_split": "test"}, "unknown `test_split` 'test'"),
    ({"held_out": 0}, "raise `held_out`"),
    ({"chat_template": True}, "The model has no chat template."),
    ({"max_prompt_tokens": 1}, "a prompt that is not too long"),
    ({"reward": "no_such_module_here.f"}, "ModuleNotFoundError"),
    ({"reward": "math.pi"}, "name a function"),
    ({"reward": "maht"}, "Did you mean 'math'?"),
    ({"source": "./not/there.jsonl"}, "is there"),
    ({"source": "./not/there"}, "It is not there."),
]


@pytest.mark.parametrize(("data", "words"), REFUSED)
def test_what_cannot_be_used_is_refused(data: dict[str, Any], words: str, tmp_path: Path, tokenizer: Any) -> None:
    path = write(tmp_path / "a.jsonl")
    with pytest.raises((ValueError, ImportError), match=re.escape(words)) as error:
        task(data.pop("source", path), tokenizer, **data)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"question": "1"\n', "line 1 is not JSON"),
        ("a.jsonl", "[1]\n", "every row must be an object"),
        ("a.jsonl", '{"question": 3, "result": "#### 1"}\n', "be a text that is not empty or a list of messages"),
        ("a.jsonl", '{"question": "3", "result": null}\n', "be a text or a number"),
        ("a.jsonl", '{"question": "3", "result": NaN}\n', "be a text or a number"),
        ("a.jsonl", "", "hold rows in its split 'train'"),
        ("a.txt", "1", "end in .jsonl"),
        ("a.parquet", "1", "a.parquet"),
    ],
)
def test_a_damaged_file_is_named(name: str, text: str, words: str, tmp_path: Path, tokenizer: Any) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)):
        task(path, tokenizer)


JOB = """
steps = 2
workers = 1
[data]
source = "questions.jsonl"
prompt = "question"
answer = "result"
chat_template = false
reward = "REWARD"
[train]
prompts = 2
generations = 4
[evaluation]
every = 0
validation = 0
test = 2
samples = 2
[[recipes]]
name = "entropy_bonus"
parameters = { coef = 0.01 }
"""


def command(folder: Path, reward: str) -> list[str]:
    """Write the job; return the words that run it."""
    (folder / "job.toml").write_text(JOB.replace("REWARD", reward))
    return ["run", "job.toml", "--out", "out"]


@pytest.mark.parametrize(
    ("rows", "reward", "says"),
    [
        ([{"question": "", "result": "1"}], "exact", "be a text that is not empty or"),
        ([{"qestion": "6 10 > 16 :", "result": "1"}], "exact", "unknown column"),
        ([], "exact", "`source` must hold rows in its split 'train'"),
        (ROWS, "no_such_module.reward", "no_such_module"),
    ],
)
def test_bad_data_is_one_sentence_and_makes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    rows: Any,
    reward: str,
    says: str,
) -> None:
    write(tmp_path / "questions.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["entrostat", *command(tmp_path, reward)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.train
def test_a_run_trains_on_a_file_and_is_judged_by_its_reward(tmp_path: Path) -> None:
    problems = countdown.load("validation")
    answers = [f"9 + 4 = 13 ; 7 + 13 = {one.target}" for one in problems[:30]]
    rows = [{"question": countdown.prompt(p), "result": a} for p, a in zip(problems, answers, strict=False)]
    write(tmp_path / "questions.jsonl", rows)
    # A reward that looks at the text, so that the records show it was asked: longer answers are better.
    (tmp_path / "longer.py").write_text(
        "def reward(completions, answer, **_):\n    return [min(len(text), 40) / 40 for text in completions]\n"
    )
    words = [sys.executable, "-m", "entrostat", *command(tmp_path, "longer.reward")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "out" / "runs" / "entropy_bonus-seed0"
    drawn = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert {row["step"] for row in drawn} == {0, 2}
    assert {row["prompt"] for row in drawn} <= {row["question"] for row in rows}
    assert all(row["target"] in answers for row in drawn)
    assert all(row["reward"] == min(len(row["completion"]), 40) / 40 for row in drawn)
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    rewards = [record["reward"] for record in records if "reward" in record]
    assert len(rewards) == 2
    assert all(0 < reward < 1 for reward in rewards)
    assert (tmp_path / "out" / "report.html").exists()
