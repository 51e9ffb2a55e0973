"""The one form in which curves are held, whoever wrote them: our records, a host's log, a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from entrostat.records import EvaluationRecord, Record, StepRecord

Point = tuple[int, float]
_FIELDS = tuple(field.name for field in dataclasses.fields(StepRecord) if field.name != "step")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves:
    """The series of one run, under the names of `StepRecord`, and `accuracy` where answers were scored apart.

    Example:
        >>> curves = Curves(name="mine", values={"entropy": [(1, 0.5), (2, float("nan")), (3, 0.4)]})
        >>> curves.series("entropy"), curves.series("coef")
        ([(1, 0.5), (3, 0.4)], [])
    """

    name: str
    """What the reader calls the run."""
    values: Mapping[str, Iterable[Point]]
    """(step, value) by quantity, in the order of the steps."""
    source: str = "entrostat records"
    """The format that was read."""
    recipe: str = ""
    """Name of the recipe; empty where the log does not say."""
    acts_on: str = ""
    """What the recipe acts on, as `recipes.describe` says it; empty where unknown."""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Settings of the recipe."""

    def series(self, name: str) -> list[Point]:
        """Return (step, value) of one quantity where it was measured and finite."""
        return [(step, value) for step, value in self.values.get(name, ()) if math.isfinite(value)]

    def setting(self, name: str) -> float | None:
        """Return a number among the parameters, at any depth: a controller's settings are nested in them.

        Example:
            >>> Curves(name="a", values={}, parameters={"controller": {"warmup": 5}}).setting("warmup")
            5.0
        """
        return _setting(self.parameters, name)


def _setting(parameters: Mapping[str, Any], name: str) -> float | None:
    value = parameters.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    nested = (_setting(inner, name) for inner in parameters.values() if isinstance(inner, dict))
    return next((found for found in nested if found is not None), None)


def of_records(records: Iterable[Record], **described: Any) -> Curves:
    """Return the curves of a run's records; `described` are the other fields of `Curves`."""
    lines = sorted(records, key=lambda record: record.step)
    steps = [record for record in lines if isinstance(record, StepRecord)]
    values: dict[str, list[Point]] = {
        name: [(record.step, value) for record in steps if (value := getattr(record, name)) is not None]
        for name in _FIELDS
    }
    values["accuracy"] = _accuracy([record for record in lines if isinstance(record, EvaluationRecord)])
    return Curves(values=values, **described)


def _accuracy(evaluations: list[EvaluationRecord]) -> list[Point]:
    # pass@1 on the problems that were asked most often; the least k there is where nobody drew single samples.
    by_split: dict[str, list[EvaluationRecord]] = {}
    for item in evaluations:
        if item.pass_at:
            by_split.setdefault(item.split, []).append(item)
    taken = max((by_split[split] for split in sorted(by_split)), key=len, default=[])
    return [(item.step, item.pass_at[min(item.pass_at, key=_k)]) for item in taken]


def _k(name: str) -> tuple[bool, int]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0)
