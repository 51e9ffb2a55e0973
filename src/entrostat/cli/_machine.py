"""Commands about this machine: `bench`, `doctor`."""

from __future__ import annotations

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from entrostat.cli._screen import Json, console, make_folder


def bench(
    out: Annotated[Path | None, typer.Option(help="Folder for the figures as CSV and a plot.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three small cases, under a minute.")] = False,
    json: Json = False,
) -> None:
    """Time and memory of the entropy operations on this machine, against the published algorithm and the host's."""
    from entrostat.jobs import bench as benchmark

    if out is not None:
        make_folder(out)
    benchmark.main(out, quick, json)


def doctor(json: Json = False) -> None:
    """Show what is installed, which hook is live, and which versions are supported."""
    from entrostat.jobs.doctor import examine

    findings = examine()
    if json:
        print(json_module.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        table = Table("part", "version", "state", box=None, pad_edge=False)
        for finding in findings:
            # A state may name an extra in square brackets, which rich would take for a style.
            table.add_row(finding.part, finding.version, escape(finding.state))
        console.print(table)
