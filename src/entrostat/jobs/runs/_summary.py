"""The job in a few lines of a terminal, when it ends; the report has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.table import Table

from entrostat.jobs.runs._directory import RunDirectory
from entrostat.observe.records import EvaluationRecord, StepRecord, read

_WINDOW = 20


def summary(runs: Sequence[RunDirectory]) -> Table:
    """Return a table of the finished runs: entropy at start and end, and pass@k of the last evaluation, by recipe.

    Figures are means over seeds. The first row is the start model.
    """
    finished: dict[str, list[tuple[list[StepRecord], list[EvaluationRecord]]]] = {}
    for run in runs:
        if run.info()["status"] == "done":
            records = read(run.records)
            steps = [record for record in records if isinstance(record, StepRecord)]
            if steps:
                finished.setdefault(run.info()["label"], []).append((steps, _judged(records)))
    ks = _common_ks([evaluations for group in finished.values() for _, evaluations in group])
    table = Table("recipe", "entropy", *(f"pass@{k}" for k in ks), box=None, pad_edge=False)
    if ks:
        first = [evaluations[0] for group in finished.values() for _, evaluations in group]
        table.add_row("start model", "", *_passes(first, ks))
    for label, group in finished.items():
        start = fmean(fmean(record.entropy for record in steps[:5]) for steps, _ in group)
        end = fmean(fmean(record.entropy for record in steps[-_WINDOW:]) for steps, _ in group)
        table.add_row(label, f"{start:.2f} -> {end:.2f}", *_passes([judged[-1] for _, judged in group if judged], ks))
    return table


def _judged(records: Sequence[object]) -> list[EvaluationRecord]:
    """Return the evaluations on test problems, or on validation problems where there are none."""
    evaluations = [record for record in records if isinstance(record, EvaluationRecord)]
    return [record for record in evaluations if record.split == "test"] or evaluations


def _common_ks(evaluations: list[list[EvaluationRecord]]) -> list[str]:
    if not evaluations or not all(evaluations):
        return []
    return [k for k in evaluations[0][-1].pass_at if all(k in each[-1].pass_at for each in evaluations)]


def _passes(records: list[EvaluationRecord], ks: list[str]) -> list[str]:
    return [f"{fmean(record.pass_at[k] for record in records):.3f}" for k in ks]
