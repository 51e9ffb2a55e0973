"""Says in words what the numbers of a report mean. Every sentence is made from records; none is canned praise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from entrostat.observe.analysis.findings import COLLAPSED, EXPLODED, INERT_MASS, INERT_SHARE, LEAKED, Alarm
from entrostat.observe.analysis.statistics import Estimate, mean
from entrostat.observe.report._facts import Facts, Group
from entrostat.observe.report._load import Run
from entrostat.observe.report._text import ABSENT, listed, number, percent, with_interval


def of_start(group: Group) -> str:
    """Return the last entropy by its start."""
    share = mean(
        facts.entropy / facts.entropy_start
        for facts in group.final
        if facts.entropy is not None and facts.entropy_start
    )
    if share is None:
        return ABSENT
    return f"{100 * share:.0f}% of its start" if share < 2 else f"{share:.1f} times its start"


def account(group: Group, ks: list[str]) -> list[str]:
    """Return the sentences about one recipe: entropy, band, accuracy, clamp."""
    if not group.facts:
        return ["Nothing to tell yet: no step is on record."]
    sentences = [_entropy(group), _band(group), *(_pass(group, k) for k in ks), _clamp(group)]
    return [sentence for sentence in sentences if sentence]


def _entropy(group: Group) -> str:
    first, last = group.over_seeds("entropy_start"), group.over_seeds("entropy")
    if first is None or last is None:
        return "The entropy was not a finite number at any step."
    over = f"over {last.seeds} seeds" if last.seeds > 1 else "one seed: no interval"
    return (
        f"Entropy went from {number(first.mean)} to {with_interval(last)} nats per token ({over}), {of_start(group)}."
    )


def _band(group: Group) -> str:
    inside = group.over_seeds("in_band")
    if inside is None:
        return ""
    return f"Its clamped entropy was inside the band for {percent(inside.mean)} of the steps after warm-up."


def _pass(group: Group, k: str) -> str:
    last, change = group.passed(k), group.pass_change(k)
    if last is None:
        return ""
    if change is None:
        return f"pass@{k} ended at {with_interval(last, share=True)}."
    before = percent(last.mean - change.mean)
    return f"pass@{k} {_moved(change)} {before} to {with_interval(last, share=True)}."


def _moved(change: Estimate) -> str:
    # A direction is claimed only where the interval of the change leaves out zero; one seed claims none.
    if change.half is None:
        return "went from"
    if change.low > 0:
        return "rose from"
    return "fell from" if change.high < 0 else "did not move clearly, from"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clamp:
    """What a recipe's clamp did, on average over its runs."""

    mass: float
    """Probability removed."""
    nats: float
    """Entropy removed."""
    share: float
    """That, of the whole entropy."""

    @property
    def nothing(self) -> bool:
        """Whether there is no clamp at all."""
        return self.mass == 0 and self.nats == 0

    @property
    def inert(self) -> bool:
        """Whether it did next to nothing."""
        return self.share < INERT_SHARE and self.mass < INERT_MASS


def clamp(group: Group) -> Clamp | None:
    """Return what the clamp did; None where that was not measured."""
    mass, nats = group.over_seeds("removed_mass"), group.over_seeds("removed_entropy")
    whole = group.over_seeds("entropy_mean")
    if mass is None or nats is None or whole is None:
        return None
    return Clamp(mass=mass.mean, nats=nats.mean, share=abs(nats.mean) / whole.mean if whole.mean > 0 else 0.0)


def _clamp(group: Group) -> str:
    found = clamp(group)
    if found is None:
        return ""
    if found.nothing:
        return "Nothing was clamped: its measure is the full entropy."
    did = "it was nearly inert" if found.inert else "it did something"
    return (
        f"The clamp removed {percent(found.mass)} of the probability and {number(found.nats)} nats "
        f"({percent(found.share)} of the entropy) on average over the run: {did}."
    )


def warnings(group: Group) -> list[str]:
    """Return one sentence per kind of finding, with the steps and seeds it concerns."""
    kinds = dict.fromkeys(alarm.kind for facts in group.facts for alarm in facts.alarms)
    return [_WARNINGS[kind](group.with_alarm(kind)) for kind in kinds]


def _begins(found: list[tuple[Facts, Alarm]]) -> str:
    return "from step " + listed([f"{alarm.step} (seed {facts.run.seed})" for facts, alarm in found], most=6)


def _worst(found: list[tuple[Facts, Alarm]]) -> float:
    return max(alarm.value for _, alarm in found)


def _pinned(found: list[tuple[Facts, Alarm]]) -> str:
    told = [f"{percent(alarm.value)} of the steps (seed {facts.run.seed})" for facts, alarm in found]
    shares = listed(told, most=6)
    return f"Pinned: the coefficient sat at its ceiling in {shares}; the controller had no more to give."


_WARNINGS: dict[str, Callable[[list[tuple[Facts, Alarm]]], str]] = {
    "collapsed": lambda found: (
        f"Collapsed: entropy fell below {COLLAPSED:.0%} of its start and stayed there, {_begins(found)}."
    ),
    "withdrawn": lambda found: (
        f"Released: entropy fell below {COLLAPSED:.0%} of its start as the coefficient was taken back to zero, "
        f"{_begins(found)}."
    ),
    "exploded": lambda found: (
        f"Exploded: entropy rose above {EXPLODED:g} times its start, {_begins(found)}; "
        f"at worst {number(_worst(found))} nats."
    ),
    "leaked": lambda found: (
        f"Leaked: more than {LEAKED:.0%} of the probability went to useless tokens, {_begins(found)}; "
        f"at worst {percent(_worst(found))}."
    ),
    "pinned": _pinned,
    "oscillated": lambda found: (
        f"Oscillated: entropy swung up and down {_worst(found):.0f} times at most, {_begins(found)}."
    ),
    "idle": lambda _: "Idle: the coefficient was zero at every step, so the recipe's term did nothing.",
    "unclipped": lambda _: (
        "Inert: no token's ratio ever reached a clip bound, so the recipe's bounds did nothing. With one update per "
        "batch of rollouts the ratio is 1."
    ),
    "inert": lambda found: (
        f"Inert: the clamp removed at most {percent(_worst(found))} of the probability and next to nothing of the "
        "entropy."
    ),
}


def unfinished(runs: list[Run], name: Callable[[Run], str]) -> list[str]:
    """Return one sentence per run whose values are not final."""
    return [f"{name(run)} {_state(run)}." for run in runs if not run.finished]


def _state(run: Run) -> str:
    if run.status == "waiting":
        return "has not started"
    words = {"running": "is marked as still running", "done": "is marked as done", "stopped": "was stopped"}
    state = words.get(run.status, "failed")
    planned = f" of {run.planned}" if run.planned else ""  # a loop of one's own need not say how long it will be
    reached = f"after {run.reached}{planned} steps" if run.steps else "without a single step on record"
    return f"{state} {reached}"
