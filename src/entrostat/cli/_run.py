"""`entrostat run`: the main job."""

from __future__ import annotations

import dataclasses
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrostat.cli._screen import Json, print_json, screen
from entrostat.errors import require_count

if TYPE_CHECKING:
    from entrostat.jobs.settings import Job, RecipeJob


def run(
    job_file: Annotated[Path | None, typer.Argument(help="A TOML job; the embedded default job without it.")] = None,
    recipe: Annotated[list[str] | None, typer.Option(help="Run these recipes only; may be repeated.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds: 0, 1, ...")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps of each run.")] = None,
    model: Annotated[str | None, typer.Option(help="Directory or hub id of a causal language model.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory to write; runs/DATE-TIME without it.")] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="Log to tensorboard, wandb or trackio too; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the job in --out.")] = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the job as TOML and stop.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the job without training it, print what its head costs, and stop.")
    ] = False,
    json: Json = False,
) -> None:
    """Train with several recipes side by side and write a report."""
    from entrostat.integrations.sources import avoid_unknown_hub
    from entrostat.jobs import settings
    from entrostat.jobs.runs import JobDirectory, build_task, load_tokenizer, require_trackers

    trackers = None if report_to is None else tuple(dict.fromkeys(report_to))
    overrides = {
        "recipe": recipe, "seeds": seeds, "steps": steps, "model": model, "report-to": trackers, "JOB": job_file,
    }  # fmt: skip
    if dry_run and resume:
        raise ValueError("--dry-run is for a job that has not started: leave out --resume.")
    if resume:
        given = [name for name, value in overrides.items() if value is not None]
        if out is None or given:
            extra = f" It cannot change {', '.join(given)}." if given else ""
            raise ValueError(f"--resume continues the job in --out DIR, as it was given.{extra}")
        directory = JobDirectory(out)
        job = directory.load()
    else:
        job = _job(job_file, recipe, seeds, steps=steps, model=model, report_to=trackers)
        directory = JobDirectory(out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S"))
    for entry in job.recipes:
        _check_recipe(job, entry)
    if print_config:
        import tomli_w

        print(tomli_w.dumps(settings.to_table(job)))
        return
    require_trackers(job.report_to)
    avoid_unknown_hub([job.model, job.data.source])
    if not resume:
        _check_model(job.model)
    if dry_run:
        _dry_run(job, directory.path, json)
        return
    if json:
        raise ValueError("--json belongs to --dry-run: a run prints its progress, and its records are JSON.")
    if not resume:
        job = _with_absolute_paths(job)
        if job.data.source:
            # Read as the runs will read it, so that nothing is made of data they refuse.
            build_task(job, load_tokenizer(job))
        directory.create(job)
    _run(job, directory)


def _job(file: Path | None, recipe: list[str] | None, seeds: int | None, **changes: Any) -> Job:
    from entrostat.jobs import settings

    if file is not None and file.is_dir():
        raise ValueError(
            f"{file} is a directory: name a TOML file, or continue the job in it with --resume --out {file}."
        )
    job = settings.Job() if file is None else settings.load(file)
    if recipe:
        job = job.with_recipes(recipe)
    if seeds is not None:
        changes["seeds"] = tuple(range(require_count("seeds", seeds, least=1)))
    return dataclasses.replace(job, **{name: value for name, value in changes.items() if value is not None})


def _check_recipe(job: Job, entry: RecipeJob) -> None:
    """Refuse a recipe that cannot be built, and say so if it could not do anything."""
    ratio_only, train = entry.build().ratio_only, job.line(entry).train
    if ratio_only and train.updates == 1:
        print(
            f"warning: recipe {entry.label!r} does nothing in this job: it acts where the ratio to the rollout policy "
            "leaves 1, and there is one update per rollout batch. Set `minibatches` in [train] to 2 or more.",
            file=sys.stderr,
        )


def _check_model(model: str) -> None:
    """Refuse a path without a model before anything is made; a hub id is fetched by the worker."""
    from entrostat.integrations.sources import looks_like_path

    folder = Path(model).expanduser()
    if looks_like_path(model) and not folder.is_dir():
        raise ValueError(f"`model` must be a directory or a hub id, got model={model!r}, which is not there.")
    if model and folder.is_dir() and not (folder / "config.json").exists():
        raise ValueError(f"`model` must be a directory with a config.json, got model={model!r}, which has none.")


def _dry_run(job: Job, out: Path, json: bool) -> None:
    from entrostat.jobs.runs import dry_run

    found = dry_run(job, out)
    if json:
        costs = {label: dataclasses.asdict(cost) for label, cost in found.costs.items()}
        print_json({"could_start": True, "parameters": found.parameters, "notes": found.notes, "heads": costs})
        return
    print(f"The model has {found.parameters:,} parameters.")
    shown = None
    for label, cost in found.costs.items():
        print(f"{label}: {'as above' if cost == shown else cost.sentence}")
        shown = cost
    print(*found.notes, "The job could start; nothing was trained or written.", sep="\n")


def _with_absolute_paths(job: Job) -> Job:
    """Return the job with absolute paths: a resume finds model and data from anywhere."""

    def absolute(source: str) -> str:
        path = Path(source).expanduser()
        return str(path.absolute()) if source and path.exists() else source

    data = dataclasses.replace(job.data, source=absolute(job.data.source))
    return dataclasses.replace(job, model=absolute(job.model), data=data)


def _run(job: Job, directory: Any) -> None:
    from entrostat.jobs.runs import Progress, run_job, summary
    from entrostat.observe.report import write_report

    # A scheduler's SIGTERM ends the job as Ctrl-C does: with a checkpoint of every run.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    count = len(job.recipes) * len(job.seeds)
    labels = ", ".join(recipe.label for recipe in job.recipes)
    print(f"{count} runs of {job.steps} steps ({labels}) in {directory.path}", flush=True)
    again = f"with: entrostat run --resume --out {directory.path}"
    try:
        with Progress(job, screen()) as progress:
            runs = run_job(job, directory, on_look=progress.show)
    except KeyboardInterrupt:
        print(f"Report: {write_report([directory.path], directory.report)}")
        print(f"Stopped. Continue {again}")
        raise typer.Exit(130) from None
    screen().print(summary([run.directory for run in runs]))
    print(f"Report: {write_report([directory.path], directory.report)}")
    if failed := [run for run in runs if run.status != "done"]:
        print(*(f"error: {run.name}: {run.error}" for run in failed), f"Continue {again}", sep="\n", file=sys.stderr)
        raise typer.Exit(2)
