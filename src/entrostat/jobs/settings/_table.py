"""A job as a table, and as the TOML file it is read from."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from entrostat.errors import require_count, sentence
from entrostat.jobs.settings._data import DataJob
from entrostat.jobs.settings._evaluation import EvaluationJob
from entrostat.jobs.settings._job import Job
from entrostat.jobs.settings._keys import check_keys, section
from entrostat.jobs.settings._recipe import RecipeJob
from entrostat.jobs.settings._train import TrainJob
from entrostat.observe.files import read_text

SECTIONS: dict[str, Any] = {"data": DataJob, "train": TrainJob, "evaluation": EvaluationJob}


def load(path: Path) -> Job:
    """Return the job of a TOML file: the default job with what the file overrides.

    Raises:
        ValueError: no TOML, an unknown key (the nearest is suggested), or a value out of range; the file is named.
        OSError: the file cannot be read.
    """
    text = read_text(path)
    try:
        return from_table(tomllib.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def from_table(table: dict[str, Any]) -> Job:
    """Return the job of a parsed table.

    Example:
        >>> from_table({"steps": 4, "train": {"prompts": 2}}).train.prompts
        2
    """
    values: dict[str, Any] = dict(table)
    check_keys(Job, values, "")
    for name, cls in SECTIONS.items():
        if name in values:
            values[name] = section(cls, values[name], name)
    if "recipes" in values:
        entries = values["recipes"]
        if not isinstance(entries, list):
            raise ValueError(sentence("recipes", "be an array of tables, [[recipes]]", entries))
        values["recipes"] = tuple(_recipe(entry) for entry in entries)
    if "seeds" in values:
        seeds = values["seeds"]
        values["seeds"] = tuple(seeds) if isinstance(seeds, list) else tuple(range(require_count("seeds", seeds)))
    if "report_to" in values:
        trackers = values["report_to"]
        if not isinstance(trackers, list) or not all(isinstance(name, str) for name in trackers):
            raise ValueError(sentence("report_to", "be a list of trackers", trackers))
        values["report_to"] = tuple(trackers)
    return Job(**values)


def to_table(job: Job) -> dict[str, Any]:
    """Return the job as a table that `from_table` reads back.

    Example:
        >>> from_table(to_table(Job())) == Job()
        True
    """
    table = dataclasses.asdict(job)
    return {**table, "seeds": list(job.seeds), "recipes": list(table["recipes"]), "report_to": list(job.report_to)}


def _recipe(entry: Any) -> RecipeJob:
    if isinstance(entry, dict) and "name" not in entry:
        raise ValueError("each [[recipes]] entry needs a `name`.")
    return section(RecipeJob, entry, "recipes")
