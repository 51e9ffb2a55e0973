"""The commands that answer at once: about runs, recipes, claims, a model, this machine."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from entrostat.cli._screen import Json, make_folder, print_json, prose_width, screen
from entrostat.errors import find_name

Directories = Annotated[list[Path], typer.Argument(help="Directories of jobs or of single runs.")]


def report(
    directories: Directories,
    out: Annotated[Path | None, typer.Option(help="File to write; report.html in the first directory.")] = None,
) -> None:
    """Write the report of some runs, finished or not, from their records."""
    from entrostat.observe.report import write_report

    print(f"Report: {write_report(directories, out or directories[0] / 'report.html')}")


def diagnose(
    run: Annotated[
        Path, typer.Argument(help="A run's directory, trainer_state.json, TensorBoard directory, verl log, or .csv.")
    ],
    json: Json = False,
) -> None:
    """Find out what is wrong with a run from its log, and what to try next."""
    from entrostat.observe.diagnose import diagnose_run

    found = diagnose_run(run)
    if json:
        print_json([diagnosis.as_dict() for diagnosis in found])
    else:
        print("\n\n".join(diagnosis.as_text(prose_width()) for diagnosis in found))


def cite(directories: Directories, json: Json = False) -> None:
    """Print the BibTeX entries of the papers that some runs used."""
    import entrostat.recipes as registry
    from entrostat.jobs.runs import run_directories

    used: set[str] = set()
    for run in (run for directory in directories for run in run_directories(directory)):
        recipe = run.info().get("recipe")
        if not isinstance(recipe, str):
            raise ValueError(f"{run.info_path}: field 'recipe' should be str, got {recipe!r}.")
        used.update(recipe.split("+"))
    entries = {name: registry.describe(name)["bibtex"] for name in sorted(used)}
    if json:
        print_json([{"recipe": name, "bibtex": bibtex} for name, bibtex in entries.items()])
    else:
        print("\n\n".join(filter(None, entries.values())))


def recipes(name: Annotated[str | None, typer.Argument(help="Show one recipe.")] = None, json: Json = False) -> None:
    """List the recipes, or show one with its parameters and paper."""
    from rich.table import Table
    from rich.text import Text

    import entrostat.recipes as registry

    names = registry.names()
    chosen = names if name is None else [find_name("recipe", name, names)]
    described = [registry.describe(each) for each in chosen]
    if json:
        print_json(described if name is None else described[0])
        return
    if name is not None:
        _show_recipe(described[0])
        return
    table = Table("recipe", "acts on", "what it does", "paper", box=None, pad_edge=False)
    for entry in described:
        # On a narrow terminal only the summary is cut; a note before it is not.
        note = "(no settings for the embedded job) " if entry["embedded"] is None else ""
        summary = Text(note + entry["summary"], no_wrap=True, overflow="ellipsis")
        table.add_row(entry["name"], entry["acts_on"], summary, entry["url"].removeprefix("https://"))
    for column in (0, 1, 3):
        table.columns[column].no_wrap = True
    screen().print(table)


def _show_recipe(entry: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    print(f"{entry['name']}: {entry['summary']}\n\n{entry['text']}\n")
    print(f"acts on: {entry['acts_on']}")
    print(f"needs of the host: {', '.join(entry['needs']) or 'nothing beyond what every host gives'}")
    if entry["how_sure"]:
        print(f"how sure: {entry['how_sure']}")
    table = Table("parameter", "default", "meaning", box=None, pad_edge=False)
    for key, parameter in entry["parameters"].items():
        default = "required" if parameter["required"] else escape(repr(parameter["default"]))
        table.add_row(key, default, escape(parameter["text"]))
    if entry["parameters"]:
        print()
        screen().print(table)
    print(f"\n{entry['bibtex']}".rstrip())


def calibrate(
    model: Annotated[str | None, typer.Option(help="Directory or hub id of a causal language model.")] = None,
    data: Annotated[Path | None, typer.Option(help="Prompts: .jsonl or .csv with a `prompt` column, or text.")] = None,
    prompts: Annotated[int, typer.Option(help="Prompts to sample.")] = 32,
    samples: Annotated[int, typer.Option(help="Responses to each prompt.")] = 8,
    max_new_tokens: Annotated[int | None, typer.Option(help="Longest response; 12 or 128 without it.")] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the sampling.")] = 1.0,
    through: Annotated[str | None, typer.Option(help="Take gradients through the whole `model` or its `head`.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write a page with the picture.")] = None,
    json: Json = False,
) -> None:
    """Propose band, clamp and coefficient from a model's own rollouts. Nothing is trained."""
    from rich.console import Console

    from entrostat.observe.calibrate import calibrate as measure
    from entrostat.observe.calibrate import write_page

    if out is not None and not out.parent.is_dir():
        raise ValueError(f"`out` must be a file in a directory that exists, got out={str(out)!r}.")
    with Console(stderr=True).status("starting") as status:
        found = measure(
            model, data, prompts=prompts, samples=samples, max_new_tokens=max_new_tokens, temperature=temperature,
            through=through, seed=seed, progress=status.update,  # pyright: ignore[reportArgumentType] checked inside
        )  # fmt: skip
    if json:
        print_json(found.as_dict())
    else:
        print(found.as_text(prose_width()))
    if out is not None:
        print(f"Page: {write_page(found, out)}", file=sys.stderr if json else sys.stdout)


def lab(
    claim: Annotated[str | None, typer.Argument(help="Check one claim.")] = None,
    all_claims: Annotated[bool, typer.Option("--all", help="Check every claim.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="A reduced check of a few seconds each.")] = False,
    report: Annotated[Path | None, typer.Option(help="Directory for a page with every plot.")] = None,
    json: Json = False,
) -> None:
    """List or check claims on problems small enough to be exact. Theory and classical methods."""
    from rich.table import Table

    import entrostat.lab as laboratory

    if claim is None and not all_claims:
        listed = [laboratory.get(name) for name in laboratory.names()]
        if json:
            print_json([{"name": one.name, "topic": one.topic, "statement": one.statement} for one in listed])
            return
        table = Table("name", "topic", "statement", box=None, pad_edge=False)
        for one in listed:
            table.add_row(one.name, one.topic, one.statement)
        screen().print(table)
        return
    if report is not None:
        make_folder(report)
    checked = laboratory.run_claims(None if claim is None else [claim], quick, say=(lambda _: None) if json else print)
    if json:
        print_json([_outcome(one) for one in checked])
    if report is not None:
        print(f"Page: {laboratory.write_page(checked, report / 'lab.html')}", file=sys.stderr if json else sys.stdout)


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


def bench(
    out: Annotated[Path | None, typer.Option(help="Folder for the figures as CSV and a plot.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three small cases, under a minute.")] = False,
    json: Json = False,
) -> None:
    """Measure time and memory of the entropy operations. The published algorithm and the host's run beside ours."""
    from entrostat.jobs import bench as benchmark

    if out is not None:
        make_folder(out)
    benchmark.main(out, quick, json)


def doctor(json: Json = False) -> None:
    """Show what is installed, and which hook is live."""
    from rich.markup import escape
    from rich.table import Table

    from entrostat.jobs.doctor import examine

    findings = examine()
    if json:
        print_json([dataclasses.asdict(finding) for finding in findings])
        return
    table = Table("part", "version", "state", box=None, pad_edge=False)
    for finding in findings:
        # A state may name an extra in square brackets, which rich would take for a style.
        table.add_row(finding.part, finding.version, escape(finding.state))
    screen().print(table)
