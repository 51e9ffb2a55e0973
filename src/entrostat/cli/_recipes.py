"""`entrostat recipes`."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from entrostat import recipes as recipe_list
from entrostat.cli._screen import Json, console
from entrostat.jobs import settings as jobs


def recipes(name: Annotated[str | None, typer.Argument(help="Show one recipe.")] = None, json: Json = False) -> None:
    """List the recipes with what they act on and need, or show one: equations, parameters, defaults, paper."""
    chosen = recipe_list.names() if name is None else [name]
    described: list[dict[str, Any]] = [{**recipe_list.describe(each), "needs": jobs.needs(each)} for each in chosen]
    if json:
        print(json_module.dumps(described if name is None else described[0], indent=1))
    elif name is None:
        table = Table(box=None, pad_edge=False)
        for heading in ("recipe", "acts on", "needs", "paper", "what it does"):
            table.add_column(heading, no_wrap=heading in ("recipe", "paper"))
        for entry in described:
            paper = entry["url"].removeprefix("https://")
            table.add_row(entry["name"], entry["acts_on"], ", ".join(entry["needs"]), paper, entry["summary"])
        console.print(table)
    else:
        _show_recipe(described[0])


def _show_recipe(entry: dict[str, Any]) -> None:
    print(f"{entry['name']}: {entry['summary']}\n\n{entry['text']}\n")
    print(f"acts on: {entry['acts_on']}")
    print(f"needs of the host: {', '.join(entry['needs']) or 'nothing beyond what every host gives'}")
    if entry["how_sure"]:
        print(f"how sure: {entry['how_sure']}")
    table = Table("parameter", "default", "what it is", box=None, pad_edge=False)
    for key, parameter in entry["parameters"].items():
        default = "required" if parameter["required"] else escape(repr(parameter["default"]))
        table.add_row(key, default, escape(parameter["text"]))
    if entry["parameters"]:
        print()
        console.print(table)
    print(f"\n{entry['bibtex']}".rstrip())
