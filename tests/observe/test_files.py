"""Following a file that another process writes and may replace; reading the description of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from entrostat.observe.files import Tail, replace_text, run_description


def test_only_whole_lines_and_each_once(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    assert tail.new_lines() == []
    path.write_text("one\ntw")
    assert tail.new_lines() == ["one"]
    assert tail.new_lines() == []
    path.write_text("one\ntwo\nthree\n")
    assert tail.new_lines() == ["two", "three"]
    assert tail.new_lines() == []


def test_a_replaced_file_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    path.write_text("one\ntwo\nthree\n")
    assert tail.new_lines() == ["one", "two", "three"]
    replace_text(path, "one\n")
    assert tail.new_lines() == ["one"]
    with path.open("a") as file:
        file.write("zwei\n")
    assert tail.new_lines() == ["zwei"]


def test_a_file_replaced_under_the_same_inode_and_grown_as_long(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    path.write_text("a long first line\nb\n")
    assert tail.new_lines() == ["a long first line", "b"]
    inode = os.stat(path).st_ino
    path.write_text("a\nbc\na line longer than all of that\n")  # written in place: the inode stays
    assert os.stat(path).st_ino == inode
    assert tail.new_lines() == ["a", "bc", "a line longer than all of that"]


def test_an_emptied_file_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    tail = Tail(path)
    path.write_text("one\ntwo\n")
    tail.new_lines()
    path.write_text("")
    assert tail.new_lines() == []
    path.write_text("eins\n")
    assert tail.new_lines() == ["eins"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "is missing"),
        ("{", "is not JSON text"),
        ("[" * 100_000, "is not JSON text"),
        ("[1]", "holds no JSON object"),
        ('{"schema": 2}', "has schema 2, this version of entrostat reads 1"),
    ],
)
def test_a_damaged_description_of_a_run_is_named(tmp_path: Path, text: str | None, says: str) -> None:
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=says) as caught:
        run_description(path)
    assert str(path) in str(caught.value)
    path.write_text('{"schema": 1, "label": "a"}')
    assert run_description(path)["label"] == "a"
