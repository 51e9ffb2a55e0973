"""`entrostat lab`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from entrostat.cli._screen import Json, console, make_folder


def lab(
    claim: Annotated[str | None, typer.Argument(help="Check one claim.")] = None,
    all_claims: Annotated[bool, typer.Option("--all", help="Check every claim.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A reduced check of a few seconds each.")] = False,
    report: Annotated[Path | None, typer.Option(help="Directory for a page with every plot.")] = None,
    json: Json = False,
) -> None:
    """List what the lab can check, or check it: theory and classical methods on problems small enough to be exact."""
    from entrostat import lab as laboratory

    if claim is None and not all_claims:
        listed = [laboratory.get(name) for name in laboratory.names()]
        rows = [{"name": one.name, "topic": one.topic, "statement": one.statement} for one in listed]
        _show(rows, json)
        return
    if report is not None:
        make_folder(report)
    checked = laboratory.run_claims(None if claim is None else [claim], quick, say=_silent if json else print)
    if json:
        print(json_module.dumps([_outcome(one) for one in checked], indent=1))
    if report is not None:
        console.print(f"Page: {laboratory.write_page(checked, report / 'lab.html')}", highlight=False)


def _silent(_: str) -> None:
    """Say nothing: the answer is JSON."""


def _outcome(checked: Any) -> dict[str, Any]:
    outcome = checked.outcome
    return {
        "name": checked.claim.name,
        "statement": checked.claim.statement,
        "verdict": outcome.verdict,
        "figures": dict(outcome.figures),
        "seeds": list(outcome.seeds),
        "remarks": outcome.remarks,
    }


def _show(rows: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        print(json_module.dumps(rows, indent=1))
        return
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
