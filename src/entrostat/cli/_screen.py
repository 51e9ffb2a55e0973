"""What the commands share: the screen, and the option for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def make_folder(path: Path) -> None:
    """Make a folder for what a command will write: before it works for minutes.

    Raises:
        ValueError: it cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be a folder to write to: {error.strerror}. Choose another place.") from None
