"""Shared by the commands: the screen, and the option for JSON."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@functools.cache
def screen() -> Console:
    """Return the terminal to print on. Where there is none, a line is as long as it needs to be."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def prose_width() -> int | None:
    """Return the most characters of a line of prose: none where another program reads it."""
    return 100 if sys.stdout.isatty() else None


def print_json(value: Any) -> None:
    """Print plain values for a script to read."""
    print(json.dumps(value, indent=1))


def make_folder(path: Path) -> None:
    """Make a folder to write to, before minutes of work.

    Raises:
        ValueError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be a folder to write to: {error.strerror}. Choose another place.") from None
