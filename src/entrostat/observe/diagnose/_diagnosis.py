"""A diagnosis: the findings, the law and the advice, as plain values or as text."""

from __future__ import annotations

import dataclasses
import functools
import math
import textwrap
from pathlib import Path
from typing import Any

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import COLLAPSED, EXPLODED, LEAKED, WINDOW, Alarm, alarms, end_mean, start_mean
from entrostat.observe.analysis.law import Law, NoLaw, fit_law
from entrostat.observe.analysis.statistics import mean, running_mean
from entrostat.observe.diagnose._advice import Advice, advise
from entrostat.observe.diagnose._read import read
from entrostat.observe.text import number, percent, visible

# Share of its best mean below which a reward counts as lost.
REWARD_LOST = 0.5
# Share of groups with equal rewards from which a run counts as taught by nothing.
SILENT = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The findings in one run's curves, the law fitted to them, and advice."""

    curves: Curves
    findings: list[Alarm]
    law: Law | NoLaw
    advice: list[Advice]

    def ends(self, name: str) -> tuple[float | None, float | None]:
        """Return the mean of the first and of the last steps of one quantity; None where it was not measured."""
        values = self.curves.numbers(name)
        return start_mean(values), end_mean(values)

    @property
    def short(self) -> bool:
        """Whether the run is too short for any finding."""
        return len(self.curves.series("entropy")) < WINDOW

    @property
    def remarks(self) -> list[str]:
        """Sentences on a lost reward and on groups that teach nothing: an answer without them would mislead."""
        return [remark for remark in (_lost_reward(self.curves), _silent_groups(self.curves)) if remark]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        entropy, law = self.curves.series("entropy"), self.law
        if isinstance(law, NoLaw):
            fitted: dict[str, Any] = {"fitted": False, "reason": law.reason}
        else:
            interval = [law.ceiling - law.half, law.ceiling + law.half]
            fitted = {"fitted": True, **dataclasses.asdict(law), "ceiling": law.ceiling, "interval": interval}
        return {
            "run": self.curves.name,
            "source": self.curves.source,
            "steps": [entropy[0][0], entropy[-1][0]] if entropy else [],
            "too_short": self.short,
            "entropy": self.ends("entropy"),
            "reward": self.ends("reward"),
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "remarks": self.remarks,
            "law": fitted,
            "advice": [dataclasses.asdict(advice) for advice in self.advice],
        }

    def as_text(self, width: int | None = 100) -> str:
        """Return all of it in words: findings and remarks behind `!`, the law behind `-`, advice behind `>`.

        Args:
            width: most characters of a line; None for lines as long as their sentences.
        """
        line = functools.partial(_line, width)
        count = len(self.curves.series("entropy"))
        if self.short:
            logged = "1 step is" if count == 1 else f"{count} steps are"
            lines = [line("-", f"Only {logged} logged; findings need at least {WINDOW}.")]
        elif not self.findings:
            lines = [line("-", "No collapse, explosion, oscillation, pinned coefficient or inert method found.")]
        else:
            lines = [line("!", finding_sentence(finding, self.curves)) for finding in self.findings]
        lines += [line("!", f"{remark}.") for remark in self.remarks]
        lines.append(line("-", _law_sentence(self.law)))
        for advice in self.advice:
            lines.append(line(">", f"Try {advice.recipe}: {advice.reason}."))
            lines.append(f"    in your trainer:   recipe={advice.python}")
            lines.append(f"    on a small model:  {advice.command}")
        return "\n".join([self._head(), *lines])

    def _head(self) -> str:
        entropy = self.curves.series("entropy")
        name = f"{visible(self.curves.name, limit=300)} ({self.curves.source})"
        if not entropy:
            return f"{name}: no finite entropy is on record."
        first, last = self.ends("entropy")
        before, after = self.ends("reward")
        reward = f", reward {number(before)} to {number(after)}" if before is not None else ""
        steps = f"steps {entropy[0][0]} to {entropy[-1][0]}"
        return f"{name}, {steps}: entropy {number(first)} to {number(last)} nats per token{reward}."


def diagnose_run(path: Path | str) -> list[Diagnosis]:
    """Diagnose every run at a path. Needs neither torch nor a model.

    Args:
        path: an entrostat directory or records file, a TRL `trainer_state.json` or its output directory, a TensorBoard
            directory, a verl log (JSON lines or console), or a table in CSV.

    Returns:
        One diagnosis per run.

    Raises:
        ValueError: there is no log there that can be read; the message says why.
        ImportError: it is a TensorBoard directory, and tensorboard is not installed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "log.csv"
        >>> lines = [f"{step},{0.5 if step < 50 else 0.1}" for step in range(1, 101)]
        >>> _ = path.write_text("step,actor/entropy\\n" + "\\n".join(lines) + "\\n")
        >>> (found,) = diagnose_run(path)
        >>> [(finding.kind, finding.step) for finding in found.findings], found.advice[0].recipe
        ([('collapsed', 56)], 'aent')
    """
    return [diagnose_curves(curves) for curves in read(Path(path))]


def diagnose_curves(curves: Curves) -> Diagnosis:
    """Diagnose curves in memory.

    Example:
        >>> entropy = [(step, 0.5) for step in range(1, 101)]
        >>> diagnose_curves(Curves(name="mine", values={"entropy": entropy})).findings
        []
    """
    findings = alarms(curves)
    first = start_mean(curves.numbers("entropy"))
    known = first if first is not None and 0 < first < math.inf else None
    return Diagnosis(curves=curves, findings=findings, law=fit_law(curves), advice=advise(curves, findings, known))


def _lost_reward(curves: Curves) -> str:
    values = curves.numbers("reward")
    first, last = start_mean(values), end_mean(values)
    if len(values) < WINDOW or first is None or last is None:
        return ""
    best = max(first, *running_mean(values, WINDOW))
    if best <= 0 or last >= REWARD_LOST * best:
        return ""
    return (
        f"The reward fell from {number(best)} at its best to {number(last)}. Whatever entropy did, check the learning "
        "rate, the KL term and the reward function first: a recipe holds entropy, it does not bring back a reward"
    )


def _silent_groups(curves: Curves) -> str:
    values = curves.numbers("silent_groups")
    share = mean(values[-WINDOW:])
    if len(values) < WINDOW or share is None or share < SILENT:
        return ""
    return (
        f"In the last {WINDOW} steps {percent(share)} of the groups had equal rewards and taught nothing: the problems "
        "are either all solved or all out of reach"
    )


def finding_sentence(finding: Alarm, curves: Curves) -> str:
    """Return a finding as a sentence: what happened, from which step, and the figures behind it."""
    value, percentage = number(finding.value), percent(finding.value)
    since, begin = f"from step {finding.step}", number(start_mean(curves.numbers("entropy")))
    return {
        "collapsed": f"Collapsed {since}: entropy fell below {COLLAPSED:.0%} of its initial {begin} nats and stayed "
        f"there; its lowest mean over {WINDOW} steps is {value}.",
        "withdrawn": f"Released {since}: entropy fell below {COLLAPSED:.0%} of its initial {begin} nats as the "
        f"coefficient was taken back to zero; its lowest mean over {WINDOW} steps is {value}.",
        "exploded": f"Exploded {since}: entropy rose above {EXPLODED:g} times its initial {begin} nats; its highest "
        f"mean over {WINDOW} steps is {value}.",
        "oscillated": f"Oscillated {since}: entropy halved and doubled in turn, {finding.value:.0f} times in all.",
        "leaked": f"Leaked {since}: more than {LEAKED:.0%} of the probability went to useless tokens, {percentage} at "
        "most.",
        "pinned": f"Pinned {since}: the coefficient was at its ceiling in {percentage} of the steps.",
        "idle": "Inert: the coefficient was zero at every step, so no bonus was paid.",
        "unclipped": "Inert: no ratio ever reached a clip bound, so the bounds did nothing.",
        "inert": f"Inert clamp: it removed {percentage} of the probability and next to nothing of the entropy.",
    }[finding.kind]


def _law_sentence(law: Law | NoLaw) -> str:
    if isinstance(law, NoLaw):
        return f"The law R = -a e^H + b cannot be fitted: {law.reason}."
    return (
        f"The law R = -a e^H + b fits the {law.performance} with a = {number(law.a)} and b = {number(law.b)}, "
        f"explaining {percent(law.explained)} of its variance. If it keeps holding, the {law.performance} ends at "
        f"{number(law.ceiling)} ({number(law.ceiling - law.half)} to {number(law.ceiling + law.half)}, 95%) when no "
        "entropy is left."
    )


def _line(width: int | None, mark: str, text: str) -> str:
    if width is None:
        return f"  {mark} {text}"
    return textwrap.fill(text, width, initial_indent=f"  {mark} ", subsequent_indent="    ", break_long_words=False)
