"""What is not about entropy, and without which an answer about entropy would mislead."""

from __future__ import annotations

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import WINDOW, end_mean, start_mean
from entrostat.observe.analysis.statistics import mean, running_mean
from entrostat.observe.report._text import number, percent

FELL = 0.5
"""Share of its best mean below which a reward counts as lost."""
SILENT = 0.9
"""Share of groups with equal rewards from which a run counts as taught by nothing."""


def remarks(curves: Curves) -> list[str]:
    """Return sentences on a reward that was lost and on groups that teach nothing.

    Example:
        >>> reward = [(step, 0.4 if step < 50 else 0.0) for step in range(1, 101)]
        >>> remarks(Curves(name="lost", values={"reward": reward}))[0][:38]
        'The reward fell from 0.400, at its bes'
    """
    return [text for check in (_lost, _untaught) if (text := check(curves))]


def _lost(curves: Curves) -> str:
    values = [value for _, value in curves.series("reward")]
    first, last = start_mean(values), end_mean(values)
    if len(values) < WINDOW or first is None or last is None:
        return ""
    best = max(first, *running_mean(values, WINDOW))
    if best <= 0 or last >= FELL * best:
        return ""
    return (
        f"The reward fell from {number(best)}, at its best, to {number(last)}. Whatever entropy did, look at the "
        "learning rate, the KL term and the reward function first: a recipe holds entropy, it brings nothing back"
    )


def _untaught(curves: Curves) -> str:
    values = [value for _, value in curves.series("silent_groups")]
    share = mean(values[-WINDOW:])
    if len(values) < WINDOW or share is None or share < SILENT:
        return ""
    return (
        f"In the last {WINDOW} steps {percent(share)} of the groups had equal rewards and taught nothing: the problems "
        "are all solved, or all out of reach"
    )
