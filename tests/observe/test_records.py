"""Records survive a kill, name damage by file and line, and come back as they were written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.observe.records import EvaluationRecord, RecordWriter, StepRecord, decode, encode, read


def step(number: int, **changes: float) -> StepRecord:
    values = {"entropy": 0.3, "clamped_entropy": 0.25, "kept_mass": 0.99, "coef": 0.1, "bonus": -0.025, **changes}
    return StepRecord(step=number, **values)


EVALUATION = EvaluationRecord(step=2, split="test", pass_at={"1": 0.5}, problems=4, samples=2, temperature=1.0)

numbers = st.floats(min_value=-1e99, max_value=1e99)


@given(numbers, numbers, st.none() | numbers)
def test_a_record_comes_back_bit_for_bit(entropy: float, coef: float, reward: float | None) -> None:
    record = StepRecord(
        step=3, entropy=entropy, clamped_entropy=1.0, kept_mass=1.0, coef=coef, bonus=0.0, reward=reward
    )
    assert decode(encode(record)) == record


def test_a_number_that_is_not_finite_becomes_null_and_comes_back_as_nan() -> None:
    line = encode(step(1, entropy=math.nan, coef=math.inf))
    assert json.loads(line)["entropy"] is None
    back = decode(line)
    assert isinstance(back, StepRecord)
    assert math.isnan(back.entropy)
    assert back.reward is None
    assert math.isnan(back.coef)


def test_a_number_beyond_any_training_counts_as_not_measured() -> None:
    back = decode(encode(step(1, coef=7.0, reward=8.0)).replace("7.0", "1e200").replace("8.0", "1e999"))
    assert isinstance(back, StepRecord)
    assert math.isnan(back.coef)
    assert back.reward is None


def test_a_last_line_cut_by_a_kill_is_dropped_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    writer = RecordWriter(path)
    writer.write(step(1))
    writer.write(step(2))
    path.write_text(path.read_text()[:-25])
    assert [record.step for record in read(path)] == [1]
    RecordWriter(path).write(step(2))
    assert [record.step for record in read(path)] == [1, 2]


def test_rewinding_drops_what_a_resume_will_write_again(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "records.jsonl")
    for record in (step(1), step(2), EVALUATION, step(3)):
        writer.write(record)
    writer.rewind(2)
    assert read(writer.path) == [step(1), step(2), EVALUATION]
    writer.rewind(0)
    assert read(writer.path) == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not a JSON line"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not a JSON line"),
        ('{"schema": 2, "kind": "step"}', "schema 2"),
        (encode(step(1)).replace('"schema": 1, ', ""), "schema None"),
        ('{"schema": 1, "kind": "other"}', "unknown kind"),
        ('{"schema": 1, "kind": "step", "step": 1}', "missing required field `entropy`"),
        (encode(step(1))[:-1] + ', "extra": 1}', "unknown field `extra`"),
        (encode(step(1)).replace("0.99", '"much"'), r"expected `float`, got `str` - at `\$.kept_mass`"),
        (encode(step(1)).replace('"step": 1', '"step": true'), r"expected `int`, got `bool` - at `\$.step`"),
        (encode(step(1)).replace('"step": 1', '"step": 1' + "0" * 400), r"at `\$.step`"),
        (encode(EVALUATION).replace("0.5", '"x"'), r"expected `float`, got `str` - at `\$.pass_at"),
    ],
)
def test_damage_is_named_by_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(encode(step(1)) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=says) as caught:
        read(path)
    assert f"{path}, line 2" in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8"):
        read(path)
