"""House rules that a machine can check."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_origin

import pytest

import entrostat

ROOT = Path(__file__).parents[1]
PUBLIC = ["controllers", "edits", "losses", "measures", "ops", "recipes", "tasks", "terms"]
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".cff", ".css", ".js", ".c", ""}


def public_objects() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for package in PUBLIC:
        module = importlib.import_module(f"entrostat.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            # A choice of strings has no docstring of its own to check.
            if callable(value) and not isinstance(value, ModuleType) and get_origin(value) is not Literal:
                found.append((f"{package}.{name}", value))
    return found


@pytest.mark.parametrize(("name", "value"), public_objects(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_public_name_is_documented_with_an_example(name: str, value: Any) -> None:
    text = inspect.getdoc(value) or ""
    assert len(text.splitlines()[0]) > 15, f"{name} says nothing"
    described_elsewhere = getattr(value, "_is_protocol", False) or issubclass_of(value, (Warning, tuple))
    if not described_elsewhere and name not in {"recipes.Paper", "recipes.Recipe", "tasks.Demonstration"}:
        assert ">>> " in text, f"{name} has no example that runs"


def issubclass_of(value: Any, bases: tuple[type, ...]) -> bool:
    return inspect.isclass(value) and issubclass(value, bases)


def test_no_name_is_public_twice() -> None:
    owners: dict[int, str] = {}
    for name, value in public_objects():
        assert id(value) not in owners, f"{name} is {owners[id(value)]} too"
        owners[id(value)] = name


def test_the_core_imports_torch_alone() -> None:
    heavy = ["transformers", "trl", "datasets", "plotly", "typer", "rich", "triton", "reasoning_gym"]
    code = f"import sys, entrostat; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_has_these_commands_and_options() -> None:
    from entrostat.cli import app

    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert {"run", "report", "recipes", "cite", "doctor", "lab", "bench", "diagnose", "calibrate", "watch"} <= commands
    run = next(command.callback for command in app.registered_commands if command.callback.__name__ == "run")
    assert set(inspect.signature(run).parameters) == {
        "job_file", "recipe", "seeds", "steps", "model", "out", "report_to", "resume", "print_config",
        "dry_run", "json",
    }  # fmt: skip


def modules() -> dict[str, Path]:
    """Return the package's modules by their dotted names."""
    source = Path(entrostat.__file__).parent
    found: dict[str, Path] = {}
    for path in source.rglob("*.py"):
        parts = path.relative_to(source.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Return the modules of the package that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` imports a module too, and `from module import _name` a private name.
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known or "._" in name else node.module for name in whole}
    return {name for name in found if name.startswith("entrostat.")}


def test_what_is_private_is_imported_only_inside_its_package() -> None:
    known = modules()
    bad: list[str] = []
    for importer, path in known.items():
        for name in imported_modules(path, set(known)):
            parts = name.split(".")
            for depth, part in enumerate(parts):
                owner = ".".join(parts[:depth])
                if part.startswith("_") and not f"{importer}.".startswith(f"{owner}."):
                    bad.append(f"{importer} imports {name}")
    assert not bad, "publish it in the package that holds it:\n" + "\n".join(sorted(bad))


def tracked_text() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.splitlines() if Path(line).suffix in TEXT and (ROOT / line).exists()]


def test_nothing_is_left_undone_and_no_machine_is_named() -> None:
    forbidden = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|/work/(main|shared)|pytest\.skip\(\)|assert Tr" r"ue\b")
    bad = [
        f"{path.relative_to(ROOT)}: {line.strip()[:80]}"
        for path in tracked_text()
        for line in path.read_text(encoding="utf-8").splitlines()
        if forbidden.search(line) and path != Path(__file__)
    ]
    assert not bad, "\n".join(bad)


def test_the_version_is_one() -> None:
    assert f"version: {entrostat.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
