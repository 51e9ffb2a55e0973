"""The command `watch`."""

from __future__ import annotations

import json as json_module
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from entrostat.cli._screen import Json, print_json, screen
from entrostat.errors import require

_WIDTH = 120
"""Columns of a frame that is not drawn on a terminal."""


def watch(
    directory: Annotated[Path, typer.Argument(help="Directory of a job, of a run, or of a records.jsonl.")],
    once: Annotated[bool, typer.Option("--once", help="Show how the runs stand now, and stop.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    page: Annotated[bool, typer.Option("--page", help="Serve the report to a browser on this machine too.")] = False,
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.")] = 0,
    json: Json = False,
) -> None:
    """Follow runs in the terminal, and on a local page if asked."""
    from entrostat.observe.watch import Follower, Page

    require(0.1 <= every <= 3600, "every", "lie in [0.1, 3600] seconds", every)
    require(0 <= port <= 65535, "port", "lie in [0, 65535]", port)
    require(not (once and page), "once", "be left out with --page", once, "Use `entrostat report` for a file.")
    require(once or not json, "json", "be given together with --once", json)
    follower = Follower(directory)
    if json:
        print_json([_standing(run) for run in follower.look()])
        return
    if once:
        screen().print(_frame(follower.look()))
        return
    # A page that reloads more often cannot be read.
    served = Page(directory, port=port, every=max(10.0, every)) if page else None
    try:
        _follow(follower, served, every)
    except KeyboardInterrupt:
        print("Stopped watching; the runs go on.")
    finally:
        if served:
            served.close()


def _standing(run: Any) -> dict[str, Any]:
    from entrostat.observe.records import encode

    # As a line of the records, where a number that is not finite is null.
    newest = (found[-1:] for found in (run.steps, run.evaluations))
    last, evaluated = (json_module.loads(encode(found[0])) if found else None for found in newest)
    planned = run.described.planned if run.described else None
    return {"name": run.name, "status": run.status, "planned": planned, "last": last, "evaluated": evaluated}


def _follow(follower: Any, served: Any, every: float) -> None:
    from rich.live import Live

    if served:
        served.start()
        print(f"Page: {served.address} (Ctrl-C ends it)", flush=True)
    runs = follower.look()
    if screen().is_terminal:
        with Live(_frame(runs), console=screen(), auto_refresh=False, vertical_overflow="crop") as live:
            while not all(run.ended for run in runs):
                runs = _next(follower, served, every)
                live.update(_frame(runs), refresh=True)
    else:
        while not all(run.ended for run in runs):
            runs = _next(follower, served, every)
        screen().print(_frame(runs))
    ended = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in runs).items())
    print(f"All runs have ended: {ended}.{' The page stays until Ctrl-C.' if served else ''}", flush=True)
    if served:
        served.final = True
        served.refresh()
        while True:
            time.sleep(every)


def _next(follower: Any, served: Any, every: float) -> Any:
    time.sleep(every)
    runs = follower.look()
    if served:
        served.refresh()
    return runs


def _frame(runs: Any) -> Any:
    from entrostat.observe.screen import ECHO
    from entrostat.observe.watch import frame

    console = screen()
    # Curves take all the width they get; in a file, that of a wide terminal.
    width = console.width if console.is_terminal else _WIDTH
    plain = not console.encoding.startswith("utf")
    return frame(runs, width=width - ECHO, height=console.height - 1, plain=plain)
