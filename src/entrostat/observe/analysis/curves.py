"""The one form of all curves, from our records, a host's log or a table."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from entrostat.observe.records import QUANTITIES, EvaluationRecord, Record, StepRecord

Point = tuple[int, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves:
    """The series of one run, under the names of `StepRecord`, and `accuracy` where answers were scored apart.

    Example:
        >>> curves = Curves(name="mine", values={"entropy": [(1, 0.5), (2, float("nan")), (3, 0.4)]})
        >>> curves.series("entropy"), curves.series("coef")
        ([(1, 0.5), (3, 0.4)], [])
    """

    name: str
    """Name of the run for a reader."""
    values: Mapping[str, Iterable[Point]]
    """(step, value) by quantity, in the order of the steps."""
    source: str = "entrostat records"
    """The format that was read."""
    recipe: str = ""
    """Name of the recipe; empty where the log does not say."""
    acts_on: str = ""
    """The parts of the training that the recipe changes, as in `recipes.describe`; empty where unknown."""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Settings of the recipe."""
    _finite: dict[str, list[Point]] = dataclasses.field(
        default_factory=dict[str, list[Point]], init=False, repr=False, compare=False
    )

    def series(self, name: str) -> list[Point]:
        """Return (step, value) of one quantity where it was measured and finite. Do not change the list."""
        # Every finding and every panel asks for the same few quantities again.
        if name not in self._finite:
            self._finite[name] = [point for point in self.values.get(name, ()) if math.isfinite(point[1])]
        return self._finite[name]

    def numbers(self, name: str) -> list[float]:
        """Return the finite values of one quantity, without their steps."""
        return [value for _, value in self.series(name)]

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
    return Curves(values=_Columns(sorted(records, key=lambda record: record.step)), **described)


class _Columns(Mapping[str, list[Point]]):
    """The quantities of some records, each extracted on demand: a long run has millions of numbers."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._steps = [record for record in records if isinstance(record, StepRecord)]
        self._evaluations = [record for record in records if isinstance(record, EvaluationRecord)]

    def __getitem__(self, name: str) -> list[Point]:
        if name == "accuracy":
            return _accuracy(self._evaluations)
        if name not in QUANTITIES:
            raise KeyError(name)
        return [point for point in map(operator.attrgetter("step", name), self._steps) if point[1] is not None]

    def __iter__(self) -> Iterator[str]:
        return iter((*QUANTITIES, "accuracy"))

    def __len__(self) -> int:
        return len(QUANTITIES) + 1


def _accuracy(evaluations: list[EvaluationRecord]) -> list[Point]:
    # pass@1 on the split that was evaluated most often; the least k where there is no pass@1.
    by_split: dict[str, list[EvaluationRecord]] = {}
    for item in evaluations:
        if item.pass_at:
            by_split.setdefault(item.split, []).append(item)
    taken = max((by_split[split] for split in sorted(by_split)), key=len, default=[])
    return [(item.step, item.pass_at[min(item.pass_at, key=_k)]) for item in taken]


def _k(name: str) -> tuple[bool, int]:
    return (not name.isdecimal(), int(name) if name.isdecimal() else 0)
