"""Commands that read runs: `report`, `diagnose`, `cite`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from entrostat import recipes as recipe_list
from entrostat.cli._run import make_report
from entrostat.cli._screen import Json


def report(
    directories: Annotated[list[Path], typer.Argument(help="Directories of jobs or of single runs.")],
    out: Annotated[Path | None, typer.Option(help="File to write; report.html in the first directory.")] = None,
) -> None:
    """Write the report of finished or unfinished runs, from their records alone."""
    make_report(directories, out or directories[0] / "report.html")


def diagnose(
    run: Annotated[
        Path, typer.Argument(help="A run's directory, trainer_state.json, TensorBoard directory, verl log, or .csv.")
    ],
    json: Json = False,
) -> None:
    """Find what is wrong with a run from its log alone, and say what to try next."""
    from entrostat.observe.diagnose import diagnose_run

    found = diagnose_run(run)
    if json:
        print(json_module.dumps([diagnosis.as_dict() for diagnosis in found], indent=1))
    else:
        print("\n\n".join(diagnosis.as_text() for diagnosis in found))


def cite(
    directories: Annotated[list[Path], typer.Argument(help="Directories of jobs or of single runs.")],
) -> None:
    """Print the BibTeX entries of the papers that some runs used."""
    from entrostat.jobs.runs import run_directories

    used = {
        name
        for directory in directories
        for run in run_directories(directory)
        for name in _recipe(run.info(), run.info_path).split("+")
    }
    entries = [recipe_list.describe(name)["bibtex"] for name in sorted(used)]
    print("\n\n".join(entry for entry in entries if entry))


def _recipe(info: dict[str, Any], path: Path) -> str:
    recipe = info.get("recipe")
    if not isinstance(recipe, str):
        raise ValueError(f"{path}: field 'recipe' should be str, got {recipe!r}.")
    return recipe
