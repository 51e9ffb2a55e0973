"""Pages whose figures and tables come from the code are as the code would write them now."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    "script", ["make_exports.py", "make_recipes.py", "make_performance.py", "make_compatibility.py", "make_scaling.py"]
)
def test_a_generated_page_is_up_to_date(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--check"])
    runpy.run_path(str(DOCS / script), run_name="__main__")
