"""Write the `__init__` of edits, terms and recipes: what their modules define, under one public path.

    python docs/make_exports.py [--check]

So a new part or recipe is one new module, and no list of names is kept by hand; written out, the names are there for
type checkers, editors and readers. Of a module, its `__all__` is public, or, without one, its classes and its recipes
whose names have no underscore. The docstring of an `__init__` is kept. `--check` writes nothing and fails if a file is
out of date. Nothing of entrostat is imported, as a package that lacks a name may not be importable.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "entrostat"
PACKAGES = ("edits", "terms", "recipes")
NOTE = "# Written by docs/make_exports.py from the modules beside this file."


def exported(package: str) -> str:
    """Return the text of a package's `__init__`."""
    folder = SOURCE / package
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")), clean=False)
    modules = {path.stem: public(path) for path in sorted(folder.glob("_[a-z]*.py"))}
    lines = [f'"""{docstring}"""', "", NOTE, ""]
    for module, names in modules.items():
        lines += _import(f"entrostat.{package}.{module}", names)
    everything = ", ".join(f'"{name}"' for name in sorted((n for names in modules.values() for n in names), key=_order))
    wrapped = textwrap.wrap(f"{everything},", 116, break_on_hyphens=False)
    return "\n".join([*lines, "", "__all__ = [", *(f"    {line}" for line in wrapped), "]  # fmt: skip", ""])


def public(path: Path) -> list[str]:
    """Return the names that a module makes public."""
    found: list[str] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(ast.literal_eval(node.value), key=_order)
        if isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and _is_recipe(node)):
            found.append(node.name)
    return sorted((name for name in found if not name.startswith("_")), key=_order)


def _is_recipe(node: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Call) and ast.unparse(each.func) == "recipe" for each in node.decorator_list)


def _order(name: str) -> tuple[int, str]:
    """Order names as the linter does: constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _import(module: str, names: list[str]) -> list[str]:
    if not names:
        return []
    line = f"from {module} import {', '.join(names)}"
    return [line] if len(line) <= 120 else [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def main() -> None:
    """Write or check each `__init__`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale: list[str] = []
    for package in PACKAGES:
        path, text = SOURCE / package / "__init__.py", exported(package)
        if check and path.read_text(encoding="utf-8") != text:
            stale.append(f"src/entrostat/{package}/__init__.py is out of date")
        if not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit("\n".join([*stale, "run: python docs/make_exports.py"]))


if __name__ == "__main__":
    main()
