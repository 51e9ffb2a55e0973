"""Trackers: the host's own integrations, with the places and names of our runs.

OUT/runs/LABEL-seedK/tensorboard    `tensorboard --logdir OUT/runs` shows all runs
OUT/runs/LABEL-seedK/wandb          offline where no key is known; `wandb sync` sends it later
OUT/trackio                         one database for the job: `TRACKIO_DIR=OUT/trackio trackio show`
"""

from __future__ import annotations

import importlib.util
import netrc
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrostat.jobs.runs._directory import RunDirectory
from entrostat.observe.records import EvaluationRecord, Record, RecordWriter


def require_trackers(report_to: Sequence[str]) -> None:
    """Raise unless every tracker is installed.

    Raises:
        ImportError: one is not; the message has the line that installs it.
    """
    for name in report_to:
        if importlib.util.find_spec(name) is None:
            raise ImportError(f"`report_to` names {name!r}, which is not installed: run `pip install {name}`.")


def set_up(report_to: Sequence[str], run: RunDirectory) -> None:
    """Set the environment of the trackers before any of them is imported, because they read it then.

    Only the places to write to are overruled; other variables that the user has set stay.

    Raises:
        ImportError: a tracker is not installed.
    """
    require_trackers(report_to)
    if not report_to:
        return
    places = {
        "TENSORBOARD_LOGGING_DIR": run.path / "tensorboard",
        "TRACKIO_DIR": _job(run) / "trackio",
        **{f"WANDB{kind}_DIR": run.path for kind in ("", "_DATA", "_CACHE", "_CONFIG", "_ARTIFACT")},
    }
    os.environ |= {name: str(place.resolve()) for name, place in places.items()}
    for name, value in _wandb(run).items() if "wandb" in report_to else ():
        os.environ.setdefault(name, value)


def settings(report_to: Sequence[str], run: RunDirectory) -> dict[str, Any]:
    """Return the trackers' part of `GRPOConfig`."""
    # Trackio has projects and runs only: the job is its project.
    return {"report_to": list(report_to) or "none", "run_name": run.path.name, "project": _job(run).name}


def _job(run: RunDirectory) -> Path:
    return run.path.resolve().parents[1]


def _wandb(run: RunDirectory) -> dict[str, str]:
    # The same id after a resume, so that the tracker shows one run.
    number = run.info().get("tracker_id") or secrets.token_hex(4)
    run.update(tracker_id=number)
    return {
        "WANDB_PROJECT": "entrostat",
        "WANDB_RUN_GROUP": _job(run).name,
        "WANDB_RUN_ID": number,
        "WANDB_RESUME": "allow",
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "off",
        "WANDB_DISABLE_GIT": "true",
        "WANDB_DISABLE_CODE": "true",
        "WANDB_ERROR_REPORTING": "false",
        **({} if has_key(os.environ) else {"WANDB_MODE": "offline"}),
    }


def has_key(environment: Mapping[str, str]) -> bool:
    """Return whether W&B would find a key here.

    Example:
        >>> has_key({"WANDB_API_KEY": "secret"}), has_key({"NETRC": "no-such-file"})
        (True, False)
    """
    if environment.get("WANDB_API_KEY"):
        return True
    host = environment.get("WANDB_BASE_URL", "https://api.wandb.ai").partition("://")[2].partition("/")[0]
    path = Path(environment.get("NETRC", "~/.netrc")).expanduser()
    try:
        return host in netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError):
        return False


class TrackedWriter:
    """A writer of records that shows evaluations to the trackers too: `eval/test/pass_at_8` and the like.

    Optimizer steps reach the trackers through the trainer's own log, under `train/entropy_control/`.
    """

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self._trainer: Any = None

    def follow(self, trainer: Any) -> None:
        """Set the trainer whose trackers these are."""
        self._trainer = trainer

    def write(self, record: Record) -> None:
        """Append one record."""
        self._writer.write(record)
        if isinstance(record, EvaluationRecord) and self._trainer is not None:
            self._log(scores(record))

    def _log(self, logs: dict[str, float]) -> None:
        from transformers.integrations.integration_utils import get_reporting_integration_callbacks

        trainer = self._trainer
        kinds = tuple(get_reporting_integration_callbacks(trainer.args.report_to))
        # Not through the trainer's log, which would consume the open step's metrics and its turn to log.
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, kinds):
                callback.on_log(trainer.args, trainer.state, trainer.control, model=trainer.model, logs=dict(logs))


def scores(record: EvaluationRecord) -> dict[str, float]:
    """Return an evaluation under the names the host's integrations turn into `eval/SPLIT/...`.

    Example:
        >>> scores(EvaluationRecord(step=0, split="test", pass_at={"1": 0.25}, problems=4, samples=1, temperature=1.0))
        {'eval_test/pass_at_1': 0.25}
    """
    values = {f"pass_at_{k}": value for k, value in record.pass_at.items()}
    if record.greedy is not None:
        values["greedy"] = record.greedy
    return {f"eval_{record.split}/{name}": value for name, value in values.items()}
