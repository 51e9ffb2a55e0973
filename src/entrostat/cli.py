"""The command line. Each command reads its options, calls the library, and says what happened."""

from __future__ import annotations

import dataclasses
import json as json_module
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from entrostat import job as jobs
from entrostat import recipes as recipe_list
from entrostat.errors import require_count
from entrostat.job import Job

app = typer.Typer(
    help="Entropy control for LLM reinforcement learning.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command line; a mistake in the input ends with one sentence and exit code 2."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


@app.command()
def run(
    job_file: Annotated[Path | None, typer.Argument(help="A TOML job; the embedded default job without it.")] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="Run these recipes only; may be repeated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds: 0, 1, ...")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps of each run.")] = None,
    model: Annotated[str | None, typer.Option(help="Directory or hub id of a causal language model.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory to write; runs/DATE-TIME without it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the job in --out.")] = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the job as TOML and stop.")] = False,
) -> None:
    """Train with several recipes side by side and write a report: the main job."""
    from entrostat.runs import JobDirectory

    overrides = {"recipe": recipe, "seeds": seeds, "steps": steps, "model": model, "JOB": job_file}
    if resume:
        given = [name for name, value in overrides.items() if value is not None]
        if out is None or given:
            extra = f" It cannot change {', '.join(given)}." if given else ""
            raise ValueError(f"--resume continues the job in --out DIR, as it was given.{extra}")
        directory = JobDirectory(out)
        job = directory.load()
    else:
        job = _job(job_file, recipe, seeds, steps, model)
        directory = JobDirectory(out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S"))
    for entry in job.recipes:
        _check_recipe(job, entry)
    if print_config:
        import tomli_w

        print(tomli_w.dumps(jobs.to_table(job)))
        return
    if not resume:
        _check_model(job.model)
        directory.create(job)
    _run(job, directory)


def _check_recipe(job: Job, entry: jobs.RecipeJob) -> None:
    """Refuse a recipe that cannot be built, and say so if it could not do anything."""
    ratio_only, train = entry.build().ratio_only, job.line(entry).train
    if ratio_only and train.minibatches == 1:
        print(
            f"warning: recipe {entry.label!r} does nothing in this job: it acts where the ratio to the rollout policy "
            "leaves 1, and there is one update per rollout batch. Set `minibatches` in [train] to 2 or more.",
            file=sys.stderr,
        )


def _job(file: Path | None, recipe: list[str] | None, seeds: int | None, steps: int | None, model: str | None) -> Job:
    job = Job() if file is None else jobs.load(file)
    if recipe:
        job = job.with_recipes(recipe)
    changes: dict[str, Any] = {"steps": steps, "model": model}
    if seeds is not None:
        changes["seeds"] = tuple(range(require_count("seeds", seeds, least=1)))
    return dataclasses.replace(job, **{name: value for name, value in changes.items() if value is not None})


def _check_model(model: str) -> None:
    """Refuse a path that is not there before anything is made; a hub id is the worker's to fetch."""
    looks_like_path = model.startswith((".", "/", "~")) or model.count("/") > 1
    if looks_like_path and not Path(model).expanduser().is_dir():
        raise ValueError(f"`model` must be a directory or a hub id, got model={model!r}, which is not there.")


def _run(job: Job, directory: Any) -> None:
    from entrostat.runs import run_job
    from entrostat.runs._progress import Progress
    from entrostat.runs._summary import summary

    # A scheduler's SIGTERM ends the job as Ctrl-C does: with a checkpoint of every run.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    count = len(job.recipes) * len(job.seeds)
    labels = ", ".join(recipe.label for recipe in job.recipes)
    console.print(f"{count} runs of {job.steps} steps ({labels}) in {directory.path}", highlight=False)
    try:
        with Progress(job, console) as progress:
            runs = run_job(job, directory, on_look=progress.show)
    except KeyboardInterrupt:
        _report([directory.path], directory.report)
        console.print(f"Stopped. Continue with: entrostat run --resume --out {directory.path}", highlight=False)
        raise typer.Exit(130) from None
    console.print(summary([run.directory for run in runs]))
    _report([directory.path], directory.report)
    failed = [run for run in runs if run.status != "done"]
    for run in failed:
        print(f"error: {run.name}: {run.error}", file=sys.stderr)
    if failed:
        print(f"Continue with: entrostat run --resume --out {directory.path}", file=sys.stderr)
        raise typer.Exit(2)


def _report(directories: list[Path], out: Path) -> None:
    from entrostat.report import write_report

    console.print(f"Report: {write_report(directories, out)}", highlight=False)


@app.command()
def report(
    directories: Annotated[list[Path], typer.Argument(help="Directories of jobs or of single runs.")],
    out: Annotated[Path | None, typer.Option(help="File to write; report.html in the first directory.")] = None,
) -> None:
    """Write the report of finished or unfinished runs, from their records alone."""
    _report(directories, out or directories[0] / "report.html")


@app.command()
def diagnose(
    run: Annotated[
        Path, typer.Argument(help="A run's directory, trainer_state.json, TensorBoard directory, verl log, or .csv.")
    ],
    json: Json = False,
) -> None:
    """Find what is wrong with a run from its log alone, and say what to try next."""
    from entrostat.diagnose import diagnose as examine
    from entrostat.diagnose._words import told

    found = examine(run)
    if json:
        print(json_module.dumps([diagnosis.as_dict() for diagnosis in found], indent=1))
    else:
        print("\n\n".join(map(told, found)))


@app.command()
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
    from entrostat.calibrate import calibrate as measure
    from entrostat.calibrate import write_page
    from entrostat.calibrate._words import told

    if out is not None and not out.parent.is_dir():
        raise ValueError(f"`out` must be a file in a directory that exists, got out={str(out)!r}.")
    with Console(stderr=True).status("starting") as status:
        found = measure(
            model, data, prompts=prompts, samples=samples, max_new_tokens=max_new_tokens, temperature=temperature,
            through=through, seed=seed, say=status.update,  # pyright: ignore[reportArgumentType] checked inside
        )  # fmt: skip
    print(json_module.dumps(found.as_dict(), indent=1) if json else told(found))
    if out is not None:
        print(f"Page: {write_page(found, out)}", file=sys.stderr if json else sys.stdout)


@app.command()
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


@app.command()
def cite(
    directories: Annotated[list[Path], typer.Argument(help="Directories of jobs or of single runs.")],
) -> None:
    """Print the BibTeX entries of the papers that some runs used."""
    from entrostat.runs import run_directories

    used = {
        name
        for directory in directories
        for run in run_directories(directory)
        for name in run.info()["recipe"].split("+")
    }
    entries = [recipe_list.describe(name)["bibtex"] for name in sorted(used)]
    print("\n\n".join(entry for entry in entries if entry))


@app.command()
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
    checked = laboratory.run_claims(None if claim is None else [claim], quick, say=_silent if json else print)
    if json:
        print(json_module.dumps([_outcome(one) for one in checked], indent=1))
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
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


@app.command()
def bench(
    out: Annotated[Path | None, typer.Option(help="Folder for the figures as CSV and a plot.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Three small cases, under a minute.")] = False,
    json: Json = False,
) -> None:
    """Time and memory of the entropy operations on this machine, against the published algorithm and the host's."""
    from entrostat import bench as benchmark

    benchmark.main(out, quick, json)


@app.command()
def doctor(json: Json = False) -> None:
    """Show what is installed, which hook is live, and which versions are supported."""
    from entrostat.doctor import examine

    findings = examine()
    if json:
        print(json_module.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    else:
        table = Table("part", "version", "state", box=None, pad_edge=False)
        for finding in findings:
            table.add_row(finding.part, finding.version, finding.state)
        console.print(table)


if __name__ == "__main__":
    main()
