"""A dataset as problems: which rows each split has, and what the model reads of a row."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from entrostat.errors import require, sentence, unknown_name
from entrostat.jobs.runs.task._read import Rows, read
from entrostat.jobs.runs.task._task import Problem
from entrostat.jobs.settings import DataJob
from entrostat.tasks.rewards import after_marker, boxed


def splits(data: DataJob, tokenizer: Any) -> tuple[list[Problem], list[Problem], list[Problem]]:
    """Return the problems to train on, of the validation split and of the test split."""
    rows = read(data)
    if data.train_split not in rows:
        raise unknown_name("`train_split`", data.train_split, rows)
    require(bool(rows[data.train_split]), "source", f"hold rows in its split {data.train_split!r}", data.source)
    train = _problems(rows[data.train_split], data, tokenizer, data.train_split)
    require(bool(train), "source", "hold rows with a prompt that is not too long", data.source)
    chosen: list[list[Problem]] = []
    cut = _cuts(len(train), data.held_out)
    for field, default in (("validation_split", "validation"), ("test_split", "test")):
        name = getattr(data, field) or default
        if name in rows:
            chosen.append(_problems(rows[name], data, tokenizer, name))
        elif getattr(data, field):
            raise unknown_name(f"`{field}`", name, rows)
        else:
            chosen.append([train[index] for index in next(cut)])
    # Also where the data's own splits overlap: what a run is judged by, it does not train on.
    seen = {problem.prompt for problems in chosen for problem in problems}
    train = [problem for problem in train if problem.prompt not in seen]
    require(bool(train), "source", "hold rows to train on that are in no other split", data.source)
    return train, chosen[0], chosen[1]


def _cuts(rows: int, held_out: int) -> Any:
    """Yield the places of two disjoint choices of rows, at most a tenth each: the same ones in every run."""
    count = min(held_out, rows // 10)
    order = random.Random(0).sample(range(rows), rows)
    yield order[:count]
    yield order[count : 2 * count]


def _problems(rows: Rows, data: DataJob, tokenizer: Any, split: str) -> list[Problem]:
    problems: list[Problem] = []
    for number, row in enumerate(rows, 1):
        try:
            problems.append(_problem(row, data, tokenizer))
        except ValueError as error:
            raise ValueError(f"{data.source}, {split} row {number}: {error}") from None
    if not problems:
        return problems
    try:
        ids = tokenizer([problem.prompt for problem in problems])["input_ids"]
    except Exception as error:  # a tokenizer without a token for the unknown raises a bare Exception
        raise ValueError(f"{data.source}: the model's tokenizer cannot read the prompts: {error}") from None
    return [
        problem for problem, of in zip(problems, ids, strict=True) if len(of) <= (data.max_prompt_tokens or len(of))
    ]


def _problem(row: dict[str, Any], data: DataJob, tokenizer: Any) -> Problem:
    for field in ("prompt", "answer"):
        column = getattr(data, field)
        if column and column not in row:
            raise unknown_name(f"column `{field}`", column, map(str, row))
    source = {str(name): value for name, value in row.items() if name not in ("prompts", "completions")}
    if data.answer:
        source["answer"] = _answer(row[data.answer], data)
    return Problem(prompt=_prompt(row[data.prompt], data, tokenizer), target=source.get("answer", ""), source=source)


def _answer(value: Any, data: DataJob) -> str:
    """Return the reference answer of a row."""
    # What is missing in a column of numbers, pandas writes as nan.
    missing = isinstance(value, float) and not math.isfinite(value)
    if missing or isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(sentence(data.answer, "be a text or a number", value))
    found: str | None = str(value).strip()
    if data.answer_from == "boxed":
        found = boxed(str(value))
    elif data.answer_from == "marker":
        found = after_marker(str(value), data.answer_marker)
    if not found:
        raise ValueError(sentence(data.answer, f"hold an answer ({data.answer_from})", str(value)[-80:]))
    return found


def _prompt(value: Any, data: DataJob, tokenizer: Any) -> str:
    """Return the text the model continues."""
    if isinstance(value, str) and value.strip():
        # Not str.format: a question may hold braces.
        text = data.template.replace("{prompt}", value)
        if not data.chat_template:
            return text
        return _chat([{"role": "user", "content": text}], data, tokenizer)
    if not isinstance(value, list) or not value:
        raise ValueError(sentence(data.prompt, "be a text that is not empty or a list of messages", value))
    require(data.chat_template, "chat_template", "be true for a prompt of messages", data.chat_template)
    require(data.template == "{prompt}", "template", "be left out for a prompt of messages", data.template)
    return _chat(value, data, tokenizer)


def _chat(messages: Sequence[Any], data: DataJob, tokenizer: Any) -> str:
    """Return a conversation as the model's chat template writes it, ready for the answer."""
    if not tokenizer.chat_template:
        remedy = "The model has no chat template."
        raise ValueError(sentence("chat_template", "be false", data.chat_template, remedy))
    system = [{"role": "system", "content": data.system}] if data.system else []
    try:
        text = tokenizer.apply_chat_template([*system, *messages], tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program of the model's author
        raise ValueError(f"the model's chat template refuses the prompt: {error}") from None
    # Tokenizers put their first token before every text; one that the template wrote already would stand twice.
    first = tokenizer.bos_token
    doubled = first and text.startswith(first) and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(first) if doubled else text
