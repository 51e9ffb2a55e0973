"""The command `watch`."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from entrostat.cli._screen import console
from entrostat.errors import require
from entrostat.observe.screen import ECHO


def watch(
    directory: Annotated[Path, typer.Argument(help="Directory of a job, of a run, or of a records.jsonl.")],
    once: Annotated[bool, typer.Option("--once", help="Show how the runs stand now, and stop.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.")] = 2.0,
    page: Annotated[bool, typer.Option("--page", help="Serve the report to a browser on this machine too.")] = False,
    port: Annotated[int, typer.Option(help="Of the page; 0 takes a free one.")] = 0,
) -> None:
    """Follow runs while they go on: their main curves in the terminal, and on a local page if asked."""
    from entrostat.observe.watch import Follower, Page

    require(0.1 <= every <= 3600, "every", "lie in [0.1, 3600] seconds", every)
    require(0 <= port <= 65535, "port", "lie in [0, 65535]", port)
    require(not (once and page), "once", "be left out with --page", once, "Use `entrostat report` for a file.")
    follower = Follower(directory)
    if once:
        console.print(_frame(follower.look()))
        return
    # A page that comes anew more often cannot be read.
    served = Page(directory, port=port, every=max(10.0, every)) if page else None
    try:
        _follow(follower, served, every)
    except KeyboardInterrupt:
        console.print("Stopped watching; the runs go on.")
    finally:
        if served:
            served.close()


def _follow(follower: Any, served: Any, every: float) -> None:
    if served:
        served.start()
        console.print(f"Page: {served.address} (Ctrl-C ends it)", highlight=False)
    runs = follower.look()
    if not console.is_terminal:
        while not all(run.ended for run in runs):
            runs = _next(follower, served, every)
        console.print(_frame(runs))
    else:
        with Live(_frame(runs), console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while not all(run.ended for run in runs):
                runs = _next(follower, served, every)
                live.update(_frame(runs), refresh=True)
    ended = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in runs).items())
    console.print(f"All runs have ended: {ended}.{' The page stays until Ctrl-C.' if served else ''}", highlight=False)
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
    from entrostat.observe.watch import frame

    plain = not console.encoding.startswith("utf")
    return frame(runs, width=console.width - ECHO, height=console.height - 1, plain=plain)
