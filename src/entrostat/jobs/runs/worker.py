"""One run of a job, in a process of its own: `python -m entrostat.jobs.runs.worker OUT LABEL SEED [--slot N]`.

Exit code 0: done, or stopped in order. 2: the run cannot start; the last line of the log says why in one sentence.
1: it failed; the log has the traceback, and its last line the error.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
import warnings
from importlib import metadata
from pathlib import Path

import torch

import entrostat
from entrostat.jobs.runs import _trackers
from entrostat.jobs.runs._directory import JobDirectory, RunDirectory
from entrostat.jobs.runs._task import build_task
from entrostat.jobs.runs._trainer import load_model, load_tokenizer, make_trainer
from entrostat.jobs.settings import Job, RecipeJob
from entrostat.observe.records import RecordWriter, StepRecord, read

PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "tokenizers")


def main(arguments: list[str] | None = None) -> int:
    """Run one run of the job in a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("label")
    parser.add_argument("seed", type=int)
    parser.add_argument("--slot", type=int, default=0, help="number of this run among those that run at a time")
    options = parser.parse_args(arguments)
    directory = JobDirectory(options.out)
    try:
        keep_to_one_gpu(options.slot)
        job = directory.load()
        recipe = next(recipe for recipe in job.recipes if recipe.label == options.label)
        job = job.line(recipe)
        run = directory.run(recipe, options.seed)
        with run.locked():
            _run(job, recipe, options.seed, run)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", flush=True)
        return 2
    except Exception as error:
        traceback.print_exc()
        print(f"error: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        return 1
    return 0


def _run(job: Job, recipe: RecipeJob, seed: int, run: RunDirectory) -> None:
    # The environment first: the hosts and the trackers read it when they are imported.
    _quiet_environment(job)
    _trackers.set_up(job.report_to, run)
    from entrostat.jobs.runs._callbacks import EvaluationCallback, RecordCallback, StopCallback, Stopwatch
    from entrostat.jobs.runs._tokens import TokenWriter

    torch.set_num_threads(1)
    checkpoint, step = run.whole_checkpoint()
    writer = RecordWriter(run.records)
    writer.rewind(step)
    run.rewind(step)
    run.update(status="running", versions=_versions(), error=None)
    model, tokenizer = load_model(job), load_tokenizer(job)
    task = build_task(job, tokenizer)
    watch = Stopwatch(before=_seconds_at(run, step))
    stop = StopCallback(job.train.updates)
    tokens = TokenWriter(
        run.tokens,
        tokenizer=tokenizer,
        measure=recipe.build().measure,
        problems=job.evaluation.tokens,
        max_new_tokens=job.train.max_completion_length,
        temperature=job.train.temperature,
    )
    tracked = _trackers.TrackedWriter(writer)
    callbacks = [
        EvaluationCallback(job, task, run, tracked, watch, tokenizer, tokens),
        RecordCallback(writer, watch),
        stop,
    ]
    trainer = make_trainer(job, recipe, seed, task=task, run=run, model=model, tokenizer=tokenizer, callbacks=callbacks)
    tracked.follow(trainer)
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    earlier = run.info().get("wall_seconds") or 0.0, run.info().get("process_seconds") or 0.0
    run.update(
        status="stopped" if stop.stopped else "done",
        wall_seconds=round(earlier[0] + time.perf_counter() - started, 2),
        process_seconds=round(earlier[1] + time.process_time(), 2),
    )


def keep_to_one_gpu(slot: int) -> None:
    """Hide all GPUs but the slot's: a run trains on one, and transformers would divide its batches over all it sees."""
    if (number := torch.cuda.device_count()) > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(number)))
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[slot % number]


def _quiet_environment(job: Job) -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if all(not name or Path(name).expanduser().exists() for name in (job.model, job.data.source)):
        # Nothing has to be fetched: no run should wait for a hub, or report to one.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)


def _seconds_at(run: RunDirectory, step: int) -> float:
    if not step or not run.records.exists():
        return 0.0
    steps = [record for record in read(run.records) if isinstance(record, StepRecord)]
    return (steps[-1].seconds or 0.0) if steps else 0.0


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "entrostat": entrostat.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    sys.exit(main())
