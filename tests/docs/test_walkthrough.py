"""The walk-through of docs/contributing.md works: a method is added exactly as written, run, and removed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .pages import ROOT, blocks

PAGE = ROOT / "docs" / "contributing.md"
COPIED = ("src", "docs", "tests", "benchmarks/results", "mkdocs.yml", "pyproject.toml", "CHANGELOG.md")
STEPS = [block for block in blocks(PAGE) if block.reason]


def text_files(root: Path) -> dict[str, str]:
    """Return every file that a person or a script might have written, by its place."""
    suffixes = {".py", ".md", ".bib", ".yml", ".toml"}
    paths = [path for path in root.rglob("*") if path.suffix in suffixes and "softer-praise" not in path.parts]
    return {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def copy(to: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, to / name)


def follow(command: str, root: Path) -> str:
    """Run one line of a shell block with this Python and the copy's package; return what it printed."""
    head, *rest = shlex.split(command)
    # Without pytest's own configuration of this run, and with nothing of the checkout before the copy.
    programs = {
        "python": [],
        "pytest": ["-m", "pytest", "-q", "-p", "no:cacheprovider"],
        "entrostat": ["-c", "from entrostat.cli import main; main()"],
    }
    line = [head, *rest] if head == "rm" else [sys.executable, *programs[head], *rest]
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.train
def test_a_method_is_added_run_and_removed_as_written(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    copy(tmp_path)
    before = text_files(tmp_path)
    written = [block for block in STEPS if block.title]
    assert len(written) == 5, "a new edit with its recipe is five files written by hand"
    for block in written:
        path = tmp_path / str(block.title)
        if path.name == "CHANGELOG.md":
            path.write_text(path.read_text(encoding="utf-8").replace("### Added\n\n", f"### Added\n\n{block.text}", 1))
        elif path.exists():
            path.write_text(f"{path.read_text(encoding='utf-8')}\n{block.text}", encoding="utf-8")
        else:
            path.write_text(block.text, encoding="utf-8")
    adding, removing = (block.text.splitlines() for block in STEPS if block.language == "sh")
    printed = "".join(follow(line, tmp_path) for line in adding)
    assert "acts on: advantages" in printed
    assert "softer_praise" in printed.partition("pass@1")[2], "it has a line in the run's table"
    added = text_files(tmp_path)
    generated = {place for place in added if added[place] != before.get(place)} - {block.title for block in written}
    assert generated == {
        "src/entrostat/edits/__init__.py", "src/entrostat/recipes/__init__.py", "docs/recipes/softer_praise.md",
        "docs/recipes/index.md", "mkdocs.yml",
    }  # fmt: skip
    for place in ("src/entrostat/recipes/references.bib", "CHANGELOG.md"):
        (tmp_path / place).write_text(before[place], encoding="utf-8")
    for line in removing:
        follow(line, tmp_path)
    assert text_files(tmp_path) == before
