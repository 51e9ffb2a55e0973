"""`entrostat calibrate`."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from entrostat.cli._screen import Json


def calibrate(
    model: Annotated[str | None, typer.Option(help="Directory or hub id of a causal language model.")] = None,
    data: Annotated[Path | None, typer.Option(help="Prompts: .jsonl or .csv with a `prompt` column, or text.")] = None,
    prompts: Annotated[int, typer.Option(help="Prompts to sample.")] = 32,
    samples: Annotated[int, typer.Option(help="Responses to each.")] = 8,
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest response; 12 or 128 without it.")] = None,
    temperature: Annotated[float, typer.Option(help="Of the sampling.")] = 1.0,
    through: Annotated[str | None, typer.Option(help="Take gradients through the whole `model` or its `head`.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write a page with the picture.")] = None,
    json: Json = False,
) -> None:
    """Measure a model's entropy on its own rollouts and propose band, clamp and coefficient. Nothing is trained."""
    from entrostat.observe.calibrate import calibrate as measure
    from entrostat.observe.calibrate import write_page

    if out is not None and not out.parent.is_dir():
        raise ValueError(f"`out` must be a file in a directory that exists, got out={str(out)!r}.")
    with Console(stderr=True).status("starting") as status:
        found = measure(
            model, data, prompts=prompts, samples=samples, max_new_tokens=max_new_tokens, temperature=temperature,
            through=through, seed=seed, progress=status.update,  # pyright: ignore[reportArgumentType] checked inside
        )  # fmt: skip
    print(json_module.dumps(found.as_dict(), indent=1) if json else found.as_text())
    if out is not None:
        print(f"Page: {write_page(found, out)}", file=sys.stderr if json else sys.stdout)
