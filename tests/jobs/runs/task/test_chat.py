"""A run on messages: the model's chat template, the reward `math`, a solution in LaTeX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")
pytest.importorskip("math_verify")

from entrostat.jobs.runs import JobDirectory, worker
from entrostat.jobs.settings import load
from entrostat.tasks import countdown, warm_start_path

# The embedded vocabulary has no letters: the template writes what the warm start knows, `<bos>` first.
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %} {{ m.content }}{% endfor %}{% if add_generation_prompt %} :{% endif %}"
)
JOB = """
steps = 2
workers = 1
model = "model"
[data]
source = "rows.parquet"
prompt = "messages"
answer = "solution"
answer_from = "boxed"
reward = "math"
[train]
prompts = 2
generations = 8
save_every = 2
[evaluation]
every = 0
validation = 0
test = 2
samples = 4
tokens = 1
[[recipes]]
name = "aent"
parameters = { low = 0.2, high = 0.3, warmup = 1, keep = 20 }
"""


def prepare(folder: Path) -> None:
    """Write a model with a chat template, and countdown as conversations with a solution in LaTeX."""
    import pyarrow
    import pyarrow.parquet
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(warm_start_path())
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder / "model")
    AutoModelForCausalLM.from_pretrained(warm_start_path()).save_pretrained(folder / "model")
    rows: list[dict[str, Any]] = []
    for one in countdown.load("validation")[:40]:
        question = countdown.prompt(one).removeprefix("<bos> ").removesuffix(" :")
        message = {"role": "user", "content": question}
        rows.append({"messages": [message], "solution": rf"It is \boxed{{\frac{{{2 * one.target}}}2}}."})
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "rows.parquet")
    (folder / "job.toml").write_text(JOB)


@pytest.mark.slow
@pytest.mark.train
def test_a_run_on_conversations_is_rewarded_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; `test_dataset.py` has a run by the command line."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    directory = JobDirectory(tmp_path / "out")
    directory.create(load(tmp_path / "job.toml"))
    assert worker.main([str(directory.path), "aent", "0"]) == 0
    folder = tmp_path / "out" / "runs" / "aent-seed0"
    before = (folder / "records.jsonl").read_text().splitlines()
    drawn = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    known = {countdown.prompt(one) for one in countdown.load("validation")[:40]}
    assert {row["prompt"] for row in drawn} <= known, "the template is not the model's"
    # A response ends in its last result, so the value of its last number is what the answer is held against.
    for row in drawn:
        numbers = [word for word in row["completion"].split() if word.isdigit()]
        right = bool(numbers) and 2 * int(numbers[-1]) == int(row["target"].split("{")[1].split("}")[0])
        assert row["reward"] == float(right), row
    assert any(json.loads(line).get("reward") is not None for line in before)
