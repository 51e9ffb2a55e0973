"""What a run writes: one typed line per optimizer step, one per evaluation, as JSON lines.

A report reads this file and never a trainer, so a figure can be redrawn years later without torch. Two kinds of
line share a file; each carries its `kind` and the `schema` it was written with:

    {"schema": 1, "kind": "step", "step": 12, "entropy": 0.31, ...}
    {"schema": 1, "kind": "evaluation", "step": 60, "split": "validation", "pass_at": {"1": 0.41, "8": 0.63}, ...}

All entropies are nats per token. A quantity a host cannot give is `null`, never 0. A line is written whole or, after
a kill, cut at the end of the file: the reader drops one unfinished last line and refuses any other damage.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from entrostat.observe.files import replace_text

SCHEMA = 1
_MOST = 1e100


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One optimizer step. Means are over all response tokens of the step's window, on all ranks."""

    step: int
    """Optimizer steps done, counted from 1."""
    entropy: float
    """Shannon entropy of the full next-token distribution."""
    clamped_entropy: float
    """The recipe's own measure: what its term adds and what its controller is fed."""
    kept_mass: float
    """Probability of the tokens the measure keeps; 1 where nothing is clamped."""
    coef: float
    """Coefficient applied in this step (the update it causes shows in the next line)."""
    bonus: float
    """What the recipe's terms added to the loss: minus coef times the measure for an entropy bonus."""
    useless_mass: float | None = None
    """Probability of tokens no correct answer ever needs, where the task knows them."""
    reward: float | None = None
    """Mean reward of the rollouts behind this step."""
    length: float | None = None
    """Mean response length in tokens."""
    clip_low: float | None = None
    """Share of tokens whose ratio was clipped from below."""
    clip_high: float | None = None
    """Share of tokens whose ratio was clipped from above."""
    silent_groups: float | None = None
    """Share of rollout groups whose rewards are all equal: they teach nothing."""
    loss: float | None = None
    """The whole loss of the step, terms included."""
    grad_norm: float | None = None
    """Norm of the gradient before clipping."""
    band_low: float | None = None
    """Lower edge of the band in force, if the controller has one."""
    band_high: float | None = None
    """Upper edge of the band in force, if the controller has one."""
    seconds: float | None = None
    """Wall time since training started, evaluations left out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """One evaluation on held-out problems, by sampling."""

    step: int
    """Optimizer steps done when it was taken; 0 is the start model."""
    split: str
    """Which problems: `validation` or `test`."""
    pass_at: dict[str, float]
    """pass@k by k (as text), by the unbiased estimator."""
    problems: int
    """Number of problems."""
    samples: int
    """Samples drawn per problem."""
    temperature: float
    """Sampling temperature."""
    greedy: float | None = None
    """Accuracy of the greedy answer, where it was taken."""


Record: TypeAlias = StepRecord | EvaluationRecord
_KINDS: dict[str, type[StepRecord] | type[EvaluationRecord]] = {
    "step": StepRecord,
    "evaluation": EvaluationRecord,
}


def encode(record: Record) -> str:
    """Return the JSON line of a record, without the line break. Numbers that are not finite, or beyond 1e100, become
    `null`.

    Example:
        >>> line = encode(EvaluationRecord(step=0, split="test", pass_at={"1": 0.25}, problems=4, samples=1,
        ...                                temperature=1.0))
        >>> decode(line).pass_at
        {'1': 0.25}
    """
    kind = "step" if isinstance(record, StepRecord) else "evaluation"
    fields = {name: _measured(value) for name, value in dataclasses.asdict(record).items()}
    return json.dumps({"schema": SCHEMA, "kind": kind, **fields}, allow_nan=False)


def decode(line: str) -> Record:
    """Return the record of one JSON line.

    Raises:
        ValueError: the line is no JSON object, of another schema or kind, or lacks or adds a field.
    """
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not a JSON line: {error.msg}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets by the thousand
        raise ValueError("not a JSON line of ours") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    schema, kind = fields.pop("schema", None), fields.pop("kind", None)
    if schema != SCHEMA:
        raise ValueError(f"schema {schema!r} is not the {SCHEMA} this version of entrostat reads")
    if kind not in _KINDS:
        raise ValueError(f"unknown kind {kind!r}, expected one of {sorted(_KINDS)}")
    return _build(_KINDS[kind], fields)


# By the annotation of a field, what JSON may hold there. Its parser makes these very types, and no bool is an int here.
_JSON: dict[str, frozenset[type]] = {
    "int": frozenset({int}),
    "str": frozenset({str}),
    "dict[str, float]": frozenset({dict}),
}
_NUMBER: frozenset[type] = frozenset({int, float, type(None)})


@functools.cache
def _shape(cls: type[StepRecord] | type[EvaluationRecord]) -> tuple[dict[str, frozenset[type]], frozenset[str]]:
    """Return the types each field may have, and the fields a line must have."""
    fields = dataclasses.fields(cls)
    types = {field.name: _JSON.get(str(field.type), _NUMBER) for field in fields}
    return types, frozenset(field.name for field in fields if field.default is dataclasses.MISSING)


def _build(cls: type[StepRecord] | type[EvaluationRecord], fields: dict[str, Any]) -> Record:
    # A report reads half a million lines: what a line may hold is looked up, and only an error costs words.
    types, required = _shape(cls)
    if not required <= fields.keys():
        raise ValueError(f"missing fields {sorted(required - fields.keys())}")
    if not fields.keys() <= types.keys():
        raise ValueError(f"unknown fields {sorted(fields.keys() - types.keys())}")
    for name, found in fields.items():
        if type(found) is float and types[name] is _NUMBER and -_MOST < found < _MOST:
            continue
        value = _measured(found)
        if type(value) not in types[name] or not (type(value) is float or _usable(value)):
            annotation = {field.name: field.type for field in dataclasses.fields(cls)}[name]
            raise ValueError(f"field {name!r} should be {annotation}, got {value!r}")
        # `null` stands for a number that was not finite when it was written.
        fields[name] = math.nan if value is None and name in required else value
    return cls(**fields)


def _measured(value: Any) -> Any:
    # A NaN would make the line invalid JSON for every reader but Python's, which reads 1e999 too. No tensor of a
    # training holds 1e100, and sums over a run of such numbers would overflow.
    return None if isinstance(value, float) and not abs(value) < _MOST else value


def _usable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(number, int | float) and abs(number) < _MOST for number in value.values())
    return not isinstance(value, int) or abs(value) < _MOST


class RecordWriter:
    """Appends records to a file; each line is flushed, so a kill loses at most the line being written.

    Args:
        path: the file; made if missing. A cut last line left by a kill is removed first.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "records.jsonl"
        >>> writer = RecordWriter(path)
        >>> writer.write(StepRecord(step=1, entropy=0.5, clamped_entropy=0.4, kept_mass=0.9, coef=0.1, bonus=-0.04))
        >>> [record.step for record in read(path)]
        [1]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            rewrite(path, read(path))

    def write(self, record: Record) -> None:
        """Append one record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(encode(record) + "\n")

    def rewind(self, step: int) -> None:
        """Drop every record after `step`: a run that resumes from a checkpoint writes them again."""
        if self.path.exists():
            rewrite(self.path, [record for record in read(self.path) if record.step <= step])


def rewrite(path: Path, records: Iterable[Record]) -> None:
    """Replace a file's records at once."""
    replace_text(path, "".join(encode(record) + "\n" for record in records))


def read(path: Path) -> list[Record]:
    """Return all records of a file in the order written.

    Raises:
        ValueError: the file holds a line that is no record; the message names the file and the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a records file: it is not UTF-8 text.") from None
    lines = text.split("\n")
    lines.pop()  # what follows the last line break: nothing, or the line a kill cut short
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(decode(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: {error}. Remove the line, or the run's directory to start it anew."
            ) from None
    return records
