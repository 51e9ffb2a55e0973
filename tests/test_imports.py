"""Importing costs no more than what is used, and a name that needs a missing package says which extra brings it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import entrostat
from entrostat.errors import _EXTRAS

ROOT = Path(__file__).parents[1]

BARE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Blocked())
"""
"""Start of a program that runs as if nothing but the base install were there."""
OPTIONAL = {*_EXTRAS, "numpy", "peft", "triton", "matplotlib"}


def bare(code: str, *arguments: object, blocked: set[str] = OPTIONAL) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BARE + code, ",".join(sorted(blocked)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_copied_tree_without_an_installation_can_be_imported(tmp_path: Path) -> None:
    code = "import entrostat; print(entrostat.__version__, entrostat.__file__)"
    (tmp_path / "entrostat").symlink_to(ROOT / "src" / "entrostat")
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}
    )
    assert done.stdout.split() == [entrostat.__version__, str(tmp_path / "entrostat" / "__init__.py")], done.stderr


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(entrostat, name) is not None for name in entrostat.__all__)
    assert set(entrostat.__all__) <= set(dir(entrostat))
    with pytest.raises(AttributeError, match="no attribute 'recipe'"):
        entrostat.recipe  # noqa: B018


def test_importing_the_package_imports_no_optional_one() -> None:
    code = "import entrostat; print(sorted(set(sys.argv[1].split(',')) & set(sys.modules)))"
    assert bare(code, ",".join(OPTIONAL), blocked={""}).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["recipes", "Recipe", "measures", "ops", "Regulator", "monitor"])
def test_a_name_that_needs_torch_says_so(name: str) -> None:
    done = bare(f"import entrostat as es\ntry:\n    es.{name}\nexcept ImportError as error:\n    print(error)")
    assert done.stdout.strip() == f"entrostat.{name} needs torch: pip install 'entrostat[torch]'", done.stderr


def test_the_table_of_extras_is_that_of_the_project() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(_EXTRAS.values()) <= set(table)
    for extra, packages in table.items():
        own = {re.split(r"[\[<>=]", package)[0].replace("-", "_").lower() for package in packages}
        for package in own & set(_EXTRAS) - {"transformers"}:
            assert _EXTRAS[package] == extra or extra in ("dev", "verl"), package


def test_the_base_install_has_neither_torch_nor_plotly() -> None:
    base = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert not [package for package in base if re.match("torch|plotly|jinja2", package)]
