"""The task of a run: the embedded countdown, or a dataset of the user's own with a reward.

`build_task` reads everything and checks it; input it refuses is refused in one sentence.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from entrostat.errors import require, sentence, unknown_name
from entrostat.integrations.sources import import_function, looks_like_path
from entrostat.jobs.settings import DataJob, Job
from entrostat.tasks import countdown, rewards
from entrostat.tasks.rewards import after_marker, boxed

Rows = list[dict[str, Any]]
_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


class UnreachableError(ValueError):
    """The data is on the hub, and the hub cannot be reached: nothing is known to be wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem.

    Args:
        prompt: the text the model continues.
        target: the reference answer, as it is stored beside the responses.
        source: everything the reward needs to know about the problem.
    """

    prompt: str
    target: Any
    source: Any = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """Problems and their reward.

    Args:
        train: problems to train on.
        validation: problems of the evaluations during training.
        test: problems of the first and the last evaluation.
        reward: rewards of responses, given the problem and the text of each.
        correct_from: reward from which a response counts as correct.
    """

    train: Sequence[Problem] = field(repr=False)
    validation: Sequence[Problem] = field(repr=False)
    test: Sequence[Problem] = field(repr=False)
    reward: Callable[[Sequence[Problem], Sequence[str]], Sequence[float]]
    correct_from: float = 1.0

    def split(self, name: str, count: int) -> Sequence[Problem]:
        """Return the first problems of `validation` or `test`."""
        problems: Sequence[Problem] = {"validation": self.validation, "test": self.test}[name]
        return problems[:count]

    def score(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        """Return one finite reward per response; raises `ValueError` if the reward gives anything else."""
        rewards = list(self.reward(problems, texts))
        if len(rewards) != len(texts):
            raise ValueError(sentence("reward", f"give {len(texts)} numbers for as many responses", len(rewards)))
        numbers: list[float] = []
        for value in rewards:
            try:
                numbers.append(float(value))
            except (TypeError, ValueError):
                numbers.append(math.nan)
            require(math.isfinite(numbers[-1]), "reward", "give finite numbers", value)
        return numbers

    def correct(self, rewards: Sequence[float]) -> int:
        """Return how many responses count as correct."""
        return sum(reward >= self.correct_from for reward in rewards)

    def rows(self, order: Iterable[int]) -> Rows:
        """Return a dataset's rows for a trainer: the training problems of these numbers, in this order."""
        return [{"prompt": self.train[number].prompt, "problem": number} for number in order]

    def reward_function(self) -> Callable[..., list[float]]:
        """Return the reward as TRL calls it on `rows`."""

        def reward(completions: list[str], problem: list[int], **_: Any) -> list[float]:
            return self.score([self.train[number] for number in problem], completions)

        return reward


def countdown_task() -> Task:
    """Return the embedded task.

    Example:
        >>> task = countdown_task()
        >>> task.rows([0]), len(task.test)
        ([{'prompt': '<bos> 6 6 10 > 22 :', 'problem': 0}], 192)
    """

    def problems(split: countdown.Split) -> list[Problem]:
        return [Problem(prompt=countdown.prompt(one), target=one.target, source=one) for one in countdown.load(split)]

    def reward(problems: Sequence[Problem], texts: Sequence[str]) -> list[float]:
        return [countdown.score(problem.source, text) for problem, text in zip(problems, texts, strict=True)]

    return Task(train=problems("train"), validation=problems("validation"), test=problems("test"), reward=reward)


def build_task(job: Job, tokenizer: Any) -> Task:
    """Return the task of a job, read and checked.

    Args:
        job: the job; its `[data]` says what to read.
        tokenizer: the model's, for its chat template; the embedded countdown does without.

    Raises:
        ValueError: there is no such data, column, split or reward, or too little of it for the evaluations;
            `UnreachableError` if only the hub cannot be reached.
        OSError: the data cannot be read.
        ImportError: the reward, or a reader of the data, needs a package that is not installed.
    """
    if not job.data.source:
        return countdown_task()
    reward = _reward(job.data)
    train, validation, test = _splits(job.data, tokenizer)
    for split, problems in (("validation", validation), ("test", test)):
        # An evaluation on fewer problems than asked for says how many it used; one on none says nothing.
        if getattr(job.evaluation, split) and not problems:
            raise ValueError(
                f"the data has no problem left for the {split} split, and `{split}` in [evaluation] asks for some. "
                f"Set it to 0, raise `held_out`, or give more rows."
            )
    return Task(train=train, validation=validation, test=test, reward=reward, correct_from=job.data.correct_from)


def _reward(data: DataJob) -> Callable[[Sequence[Problem], Sequence[str]], Sequence[float]]:
    function = _reward_function(data.reward)

    def reward(problems: Sequence[Problem], texts: Sequence[str]) -> Sequence[float]:
        # Rows of a JSON file need not all have the same columns.
        names = dict.fromkeys(name for problem in problems for name in problem.source)
        columns = {name: [problem.source.get(name) for problem in problems] for name in names}
        columns["prompts"] = [problem.prompt for problem in problems]
        try:
            return list(function(**columns, completions=list(texts)))
        except Exception as error:  # the function is the user's: it may raise anything
            raise RuntimeError(f"the reward {data.reward!r} failed with {type(error).__name__}: {error}") from error

    return reward


def _reward_function(name: str) -> Callable[..., Any]:
    if name == "exact":
        return rewards.exact
    if name == "math":
        if importlib.util.find_spec("math_verify") is None:
            raise ImportError("the reward 'math' needs math-verify: pip install 'entrostat[math]'")
        return rewards.math
    return import_function(name, "reward")


def _splits(data: DataJob, tokenizer: Any) -> tuple[list[Problem], list[Problem], list[Problem]]:
    """Return the problems to train on, of the validation split and of the test split."""
    rows = _read(data)
    if data.train_split not in rows:
        raise unknown_name("`train_split`", data.train_split, rows)
    require(bool(rows[data.train_split]), "source", f"hold rows in its split {data.train_split!r}", data.source)
    train = _problems(rows[data.train_split], data, tokenizer, data.train_split)
    require(bool(train), "source", "hold rows with a prompt that is not too long", data.source)
    held_out = _held_out(len(train), data.held_out)
    chosen: list[list[Problem]] = []
    for field_, default in (("validation_split", "validation"), ("test_split", "test")):
        name = getattr(data, field_) or default
        if name in rows:
            chosen.append(_problems(rows[name], data, tokenizer, name))
        elif getattr(data, field_):
            raise unknown_name(f"`{field_}`", name, rows)
        else:
            chosen.append([train[index] for index in next(held_out)])
    # Also where the data's own splits overlap: no run trains on a problem of its evaluations.
    seen = {problem.prompt for problems in chosen for problem in problems}
    train = [problem for problem in train if problem.prompt not in seen]
    require(bool(train), "source", "hold rows to train on that are in no other split", data.source)
    return train, chosen[0], chosen[1]


def _held_out(rows: int, wanted: int) -> Iterator[list[int]]:
    """Yield two disjoint choices of rows, at most a tenth of them each: the same ones in every run."""
    count = min(wanted, rows // 10)
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
    longest = data.max_prompt_tokens or math.inf
    return [problem for problem, tokens in zip(problems, ids, strict=True) if len(tokens) <= longest]


def _problem(row: dict[str, Any], data: DataJob, tokenizer: Any) -> Problem:
    for name in ("prompt", "answer"):
        column = getattr(data, name)
        if column and column not in row:
            raise unknown_name(f"column `{name}`", column, map(str, row))
    source = {str(name): value for name, value in row.items() if name not in ("prompts", "completions")}
    if data.answer:
        source["answer"] = _answer(row[data.answer], data)
    return Problem(prompt=_prompt(row[data.prompt], data, tokenizer), target=source.get("answer", ""), source=source)


def _answer(value: Any, data: DataJob) -> str:
    # A missing value in a column of numbers is NaN when pandas wrote it.
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
        text = data.template.replace("{prompt}", value)  # not str.format: a question may hold braces
        return _chat([{"role": "user", "content": text}], data, tokenizer) if data.chat_template else text
    if not isinstance(value, list) or not value:
        raise ValueError(sentence(data.prompt, "be a text that is not empty or a list of messages", value))
    require(data.chat_template, "chat_template", "be true for a prompt of messages", data.chat_template)
    require(data.template == "{prompt}", "template", "be left out for a prompt of messages", data.template)
    return _chat(value, data, tokenizer)


def _chat(messages: Sequence[Any], data: DataJob, tokenizer: Any) -> str:
    """Return a conversation as the model's chat template writes it, ready for the answer."""
    if not tokenizer.chat_template:
        raise ValueError(sentence("chat_template", "be false", data.chat_template, "The model has no chat template."))
    system = [{"role": "system", "content": data.system}] if data.system else []
    try:
        text = tokenizer.apply_chat_template([*system, *messages], tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template is a program of the model's author
        raise ValueError(f"the model's chat template rejects the prompt: {error}") from None
    # Tokenizers put their first token before every text; if the template wrote it already, it would be there twice.
    first = tokenizer.bos_token
    doubled = first and text.startswith(first) and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(first) if doubled else text


def _read(data: DataJob) -> dict[str, Rows]:
    """Return every split of a file, of a directory or of a hub's dataset; a file is all `train`."""
    path = Path(data.source).expanduser()
    if path.suffix in _SUFFIXES or path.is_file():
        return {"train": _file(path)}
    if looks_like_path(data.source) and not path.is_dir():
        raise ValueError(sentence("source", "be a file, a directory or a hub id", data.source, "It is not there."))
    return _dataset(data, str(path) if path.is_dir() else data.source)


def _file(path: Path) -> Rows:
    readers = dict(zip(_SUFFIXES, (_json_lines, _json, _csv, _parquet), strict=True))
    if path.suffix not in readers:
        raise ValueError(sentence("source", "end in " + ", ".join(_SUFFIXES), str(path)))
    if not path.is_file():
        raise ValueError(sentence("source", "be a file that is there", str(path)))
    try:
        rows = readers[path.suffix](path)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: every row must be an object with the columns as its keys.")
    return rows


def _json_lines(path: Path) -> Any:
    rows: list[Any] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                rows += [json.loads(line)] if line.strip() else []
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from None
    return rows


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _csv(path: Path) -> Any:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

    return parquet.read_table(path).to_pylist()


def _dataset(data: DataJob, where: str) -> dict[str, Rows]:
    """Return the splits `datasets` finds in a directory or on the hub."""
    from datasets import DatasetDict, load_dataset, load_from_disk

    try:
        if any((Path(where) / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
            found: Any = load_from_disk(where)
        else:
            found = load_dataset(where, data.subset or None, revision=data.revision or None)
    except Exception as error:  # the hub, its client and the readers each have their own
        first = (str(error).strip().splitlines() or [""])[0]
        kind = UnreachableError if isinstance(error, ConnectionError) else ValueError
        raise kind(
            sentence("source", "be a dataset that can be read", data.source, f"{type(error).__name__}: {first}")
        ) from None
    splits: dict[str, Any] = dict(cast("Any", found)) if isinstance(found, DatasetDict) else {"train": found}
    return {name: rows.to_list() for name, rows in splits.items()}
