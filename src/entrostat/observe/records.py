"""The log of a run: one typed line per optimizer step, one per evaluation, as JSON lines.

A report reads this file and never a trainer, so a figure can be redrawn years later without torch. Two kinds of
line share a file; each carries its `kind` and the `schema` it was written with:

    {"schema": 1, "kind": "step", "step": 12, "entropy": 0.31, ...}
    {"schema": 1, "kind": "evaluation", "step": 60, "split": "validation", "pass_at": {"1": 0.41, "8": 0.63}, ...}

All entropies are nats per token. A quantity a host cannot give is `null`, never 0. A line is written whole or, after
a kill, cut at the end of the file: the reader drops one unfinished last line and rejects any other damage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from entrostat.observe.files import replace_text

SCHEMA = 1
_MOST = 1e100
Number: TypeAlias = Annotated[float, msgspec.Meta(gt=-_MOST, lt=_MOST)]
"""A float of a record. No tensor of a training holds 1e100, and sums over a run of such numbers would overflow."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
"""An integer of a record. No training counts further than a float does exactly."""


# gc=False: no record is part of a cycle, and half a million of them would keep the garbage collector busy.
class StepRecord(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, tag_field="kind", tag="step"
):
    """One optimizer step. Means are over all response tokens of the step's window, on all ranks."""

    step: Count
    """Optimizer steps done, counted from 1."""
    entropy: Number
    """Shannon entropy of the full next-token distribution."""
    clamped_entropy: Number
    """The recipe's own measure, which its term adds and its controller reads."""
    kept_mass: Number
    """Probability of the tokens the measure keeps; 1 where nothing is clamped."""
    coef: Number
    """Coefficient applied in this step (the update it causes shows in the next line)."""
    bonus: Number
    """The sum of the recipe's terms in the loss: minus coef times the measure for an entropy bonus."""
    useless_mass: Number | None = None
    """Probability of tokens no correct answer ever needs, where the task knows them."""
    reward: Number | None = None
    """Mean reward of the rollouts behind this step."""
    length: Number | None = None
    """Mean response length in tokens."""
    clip_low: Number | None = None
    """Share of tokens whose ratio was clipped from below."""
    clip_high: Number | None = None
    """Share of tokens whose ratio was clipped from above."""
    silent_groups: Number | None = None
    """Share of rollout groups whose rewards are all equal: they teach nothing."""
    loss: Number | None = None
    """The whole loss of the step, terms included."""
    grad_norm: Number | None = None
    """Norm of the gradient before clipping."""
    band_low: Number | None = None
    """Lower edge of the band in force, if the controller has one."""
    band_high: Number | None = None
    """Upper edge of the band in force, if the controller has one."""
    seconds: Number | None = None
    """Wall time since training started, evaluations left out."""
    schema: Literal[1] = SCHEMA
    """Version of the format."""


QUANTITIES = tuple(name for name in StepRecord.__struct_fields__ if name not in ("step", "schema"))
"""Names of the numbers in a `StepRecord`."""


class EvaluationRecord(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, tag_field="kind", tag="evaluation"
):
    """One evaluation on held-out problems, by sampling."""

    step: Count
    """Optimizer steps done when it was taken; 0 is the start model."""
    split: str
    """Which problems: `validation` or `test`."""
    pass_at: dict[str, Number]
    """pass@k by k (as text), by the unbiased estimator."""
    problems: Count
    """Number of problems."""
    samples: Count
    """Samples drawn per problem."""
    temperature: Number
    """Sampling temperature."""
    greedy: Number | None = None
    """Accuracy of the greedy answer, where it was taken."""
    schema: Literal[1] = SCHEMA
    """Version of the format."""


Record: TypeAlias = StepRecord | EvaluationRecord
_KINDS: dict[str, type[Record]] = {"step": StepRecord, "evaluation": EvaluationRecord}
_NUMBERS = {
    kind: [field.name for field in msgspec.structs.fields(cls) if field.type == Number] for kind, cls in _KINDS.items()
}
_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


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
    fields = {name: _measured(value) for name, value in msgspec.structs.asdict(record).items()}
    return json.dumps({"schema": SCHEMA, "kind": kind, **fields}, allow_nan=False)


def decode(line: str) -> Record:
    """Return the record of one JSON line.

    Raises:
        ValueError: the line is no JSON object, of another schema or kind, or lacks or adds a field.
    """
    try:
        record = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return _decode_slowly(line)
    # A field with a default may be missing, but a line that does not say its schema is not ours.
    return record if '"schema"' in line else _decode_slowly(line)


def _decode_slowly(line: str) -> Record:
    """Return the record of a line with a number that was not finite, or raise with the reason why it is none."""
    try:
        fields: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not a JSON line: {error.msg}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, thousands of brackets
        raise ValueError("not a JSON line of ours") from None
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    schema, kind = fields.get("schema"), fields.get("kind")
    if schema != SCHEMA:
        raise ValueError(f"schema {schema!r} is not the {SCHEMA} this version of entrostat reads")
    if kind not in _KINDS:
        raise ValueError(f"unknown kind {kind!r}, expected one of {sorted(_KINDS)}")
    lost = [name for name in _NUMBERS[kind] if name in fields and _measured(fields[name]) is None]
    # All else is checked as usual; the lost numbers come back as NaN.
    checked = {name: _measured(value) for name, value in fields.items()} | dict.fromkeys(lost, 0.0)
    try:
        record = msgspec.convert(checked, Record)
    except msgspec.ValidationError as error:
        raise ValueError(f"{str(error)[:1].lower()}{str(error)[1:]}") from None
    return msgspec.structs.replace(record, **dict.fromkeys(lost, math.nan))


def _measured(value: Any) -> Any:
    # A NaN would make the line invalid JSON for every reader but Python's, which reads 1e999 too.
    return None if isinstance(value, float) and not abs(value) < _MOST else value


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
    lines.pop()  # behind the last line break is nothing, or a line that a kill cut short
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(decode(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: {error}. Remove the line, or the run's directory to start a new run."
            ) from None
    return records
