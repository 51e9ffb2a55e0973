"""The command line. Each command reads its options, calls the library, and says what happened.

Only what a command needs is imported, inside the command: `--help` has to be quick, and reading logs needs no torch.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from entrostat import __version__
from entrostat.cli._commands import bench, calibrate, cite, diagnose, doctor, lab, recipes, report
from entrostat.cli._run import run
from entrostat.cli._watch import watch
from entrostat.errors import missing_package

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain help: the pretty one imports a Markdown parser, which takes longer than everything else together.
    rich_markup_mode=None,
    context_settings={"max_content_width": 120},
)
for command in (run, watch, report, diagnose, calibrate, recipes, cite, lab, bench, doctor):  # as `--help` lists them
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"entrostat {__version__}")
        raise typer.Exit


@app.callback(help="Entropy control for LLM reinforcement learning.")
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


# Commands that need more than the package which turned out to be missing first.
_EXTRAS = {"run": "run", "calibrate": "run", "lab": "lab", "report": "report"}


def main() -> None:
    """Run the command line; a mistake in the input, or a missing package, ends with one sentence and exit code 2."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {' '.join(_sentence(error).split())}", file=sys.stderr)
        sys.exit(2)


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        command = " ".join(sys.argv[1:2])
        return missing_package(f"`entrostat {command}`", error, _EXTRAS.get(command, ""))
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}."
    return str(error)
