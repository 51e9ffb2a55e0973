"""`entrostat run --dry-run`: what it found, on the screen."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from pathlib import Path

from entrostat.cli._screen import console
from entrostat.integrations.plan import Plan, sentences, table, verdict
from entrostat.jobs.settings import Job


def show_dry_run(job: Job, out: Path, *, gpus: int, gpu_memory: float, sharding: str, json: bool) -> None:
    """Check a job and print its plan; recipes whose plans are the same share one."""
    from entrostat.jobs.runs import dry_run

    found = dry_run(job, out, gpus=gpus, gpu_memory=gpu_memory, sharding=sharding)
    if json:
        plans = {label: plan.as_dict() for label, plan in found.plans.items()}
        print(json_module.dumps({"could_start": found.fits, "notes": found.notes, "plans": plans}, indent=1))
    else:
        _show(found.plans)
        print(*found.notes, sep="\n", end="\n" if found.notes else "")
    if not found.fits:
        label, plan = next((label, plan) for label, plan in found.plans.items() if not plan.fits)
        raise ValueError(f"recipe {label!r}: {verdict(plan)}")
    if not json:
        print("The job could start; nothing was trained or written.")


def _show(plans: Mapping[str, Plan]) -> None:
    shown = None
    for label, plan in plans.items():
        if shown is not None and plan.lines == shown.lines:
            print(f"{label}: as above")
            continue
        shown = plan
        console.print(table(plan))
        print(f"{label}:", *sentences(plan), sep="\n")
