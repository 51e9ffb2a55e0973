"""What the commands share: the screen, and the option for JSON."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
