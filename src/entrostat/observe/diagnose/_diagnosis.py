"""Puts a diagnosis together: what was found, the law, and what to try next."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import WINDOW, Alarm, alarms, end_mean, start_mean
from entrostat.observe.analysis.law import Law, NoLaw, fit_law
from entrostat.observe.diagnose._advice import Advice, advise
from entrostat.observe.diagnose._read import read
from entrostat.observe.diagnose._remarks import remarks


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What one run's curves say."""

    curves: Curves
    findings: list[Alarm]
    law: Law | NoLaw
    advice: list[Advice]

    def ends(self, name: str) -> tuple[float | None, float | None]:
        """Return the mean of the first and of the last steps of one quantity; None where it was not measured."""
        values = [value for _, value in self.curves.series(name)]
        return start_mean(values), end_mean(values)

    @property
    def short(self) -> bool:
        """Whether the run is too short for any finding."""
        return len(self.curves.series("entropy")) < WINDOW

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        entropy = self.curves.series("entropy")
        return {
            "run": self.curves.name,
            "source": self.curves.source,
            "steps": [entropy[0][0], entropy[-1][0]] if entropy else [],
            "too_short": self.short,
            "entropy": self.ends("entropy"),
            "reward": self.ends("reward"),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "remarks": remarks(self.curves),
            "law": _law(self.law),
            "advice": [dataclasses.asdict(advice) for advice in self.advice],
        }


def _law(law: Law | NoLaw) -> dict[str, Any]:
    if isinstance(law, NoLaw):
        return {"fitted": False, "reason": law.reason}
    interval = [law.ceiling - law.half, law.ceiling + law.half]
    return {"fitted": True, **dataclasses.asdict(law), "ceiling": law.ceiling, "interval": interval}


def diagnose(path: Path | str) -> list[Diagnosis]:
    """Diagnose every run at a path.

    Args:
        path: an entrostat directory or records file, a TRL `trainer_state.json` or its output directory, a TensorBoard
            directory, a verl log (JSON lines or console), or a table in CSV.

    Returns:
        One diagnosis per run.

    Raises:
        ValueError: there is no log there that can be read; the message says what is wrong with it.
        ImportError: a TensorBoard directory, and tensorboard is not installed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "log.csv"
        >>> lines = [f"{step},{0.5 if step < 50 else 0.1}" for step in range(1, 101)]
        >>> _ = path.write_text("step,actor/entropy\\n" + "\\n".join(lines) + "\\n")
        >>> (found,) = diagnose(path)
        >>> [(finding.kind, finding.step) for finding in found.findings], found.advice[0].recipe
        ([('collapsed', 56)], 'aent')
    """
    return [of_curves(curves) for curves in read(Path(path))]


def of_curves(curves: Curves) -> Diagnosis:
    """Diagnose curves in memory."""
    findings = alarms(curves)
    values = [value for _, value in curves.series("entropy")]
    first = start_mean(values)
    known = first if first is not None and math.isfinite(first) and first > 0 else None
    return Diagnosis(curves=curves, findings=findings, law=fit_law(curves), advice=advise(curves, findings, known))
