"""The table on file follows from what the marked tests did, the failed ones first."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from . import features


def finished(outcome: str, when: str = "call", said: str = "") -> tuple[Any, Any]:
    """Return a test of one feature, and the report on it."""
    marks = [pytest.mark.feature("packed rows", "works", "why").mark]
    properties = [("packed rows", said)] if said else []
    report = SimpleNamespace(when=when, passed=outcome == "passed", skipped=outcome == "skipped")
    report.user_properties = properties
    return SimpleNamespace(name="test_packed", iter_markers=lambda name: marks), report


@pytest.mark.parametrize(
    ("tests", "row"),
    [
        ([finished("passed")], {"result": "works", "says": "why"}),
        ([finished("passed", said="more")], {"result": "works", "says": "more"}),
        ([finished("passed"), finished("failed"), finished("passed")], {"result": "fails", "says": "test_packed"}),
        ([finished("failed", "setup")], {"result": "fails", "says": "test_packed"}),
        ([finished("passed", "setup"), finished("skipped", "setup")], None),
    ],
)
def test_a_feature_works_if_all_of_its_tests_passed(tests: list[tuple[Any, Any]], row: dict[str, str] | None) -> None:
    rows: dict[str, features.Row] = {}
    for test in tests:
        features.note(rows, *test)
    assert rows.get("packed rows") == row


def test_a_run_of_some_tests_leaves_the_other_rows(tmp_path: Path) -> None:
    shutil.copy(features.DOCS / "compatibility.json", tmp_path)
    features.write({"one": {"result": "works", "says": ""}}, tmp_path)
    features.write({"two": {"result": "rejected", "says": "a|b"}}, tmp_path)
    release = metadata.version("verl")
    rows = json.loads((tmp_path / "compatibility.json").read_text())["verl"][release]
    assert {"one", "two"} <= set(rows)
    page = (tmp_path / "compatibility.md").read_text()
    assert f"| option | verl {release} | why |" in page
    assert "| two | rejected | a\\|b |" in page
