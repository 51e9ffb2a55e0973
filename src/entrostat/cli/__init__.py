"""The command line. Each command reads its options, calls the library, and says what happened."""

from __future__ import annotations

import sys

import typer

from entrostat.cli._calibrate import calibrate
from entrostat.cli._lab import lab
from entrostat.cli._machine import bench, doctor
from entrostat.cli._recipes import recipes
from entrostat.cli._run import run
from entrostat.cli._runs import cite, diagnose, report
from entrostat.cli._watch import watch

__all__ = ["app", "main"]

app = typer.Typer(
    help="Entropy control for LLM reinforcement learning.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
for command in (run, watch, report, diagnose, calibrate, recipes, cite, lab, bench, doctor):  # as `--help` lists them
    app.command()(command)


def main() -> None:
    """Run the command line; a mistake in the input ends with one sentence and exit code 2."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {' '.join(_told(error).split())}", file=sys.stderr)
        sys.exit(2)


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}."
    return str(error)
