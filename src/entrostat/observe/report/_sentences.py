"""The sentences of a report. Every one is made from records; none is canned praise.

In a sentence, `{2}` stands for the name of recipe 2: as plain text or as HTML, it is filled in where the sentence is
printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from entrostat.observe.analysis.findings import COLLAPSED, EXPLODED, INERT_MASS, INERT_SHARE, LEAKED, Alarm
from entrostat.observe.analysis.statistics import Estimate, estimate, mean
from entrostat.observe.report._groups import Facts, Group, baseline, clear, compared, paired, start_model
from entrostat.observe.report._load import Run
from entrostat.observe.text import ABSENT, duration, label, listed, number, percent, signed, with_interval

HELD = 0.6
"""Share of steps inside the band from which we say that the band held."""
_FEW = 4
"""Recipes up to which a sentence gives every one's number; of more, the least and the greatest: a table has all."""
_MOST = 6
"""Recipes named in a sentence without numbers."""
_CLAUSES = {
    "collapsed": "collapsed under",
    "exploded": "exploded under",
    "wandered": "left its band under",
    "held": "stayed mostly inside its band under",
    "withdrawn": "fell as the coefficient was withdrawn under",
}
_CHIPS = {
    "exploded": "exploded",
    "collapsed": "collapsed",
    "withdrawn": "released",
    "held": "held in band",
    "wandered": "left its band",
    "plain": "no alarm",
    "empty": "no steps yet",
}
_WENT_WRONG = {
    "oscillated": "Entropy swung up and down under",
    "pinned": "The coefficient sat at its ceiling, with no more to give, under",
    "idle": "The coefficient was zero at every step, so the recipe had no effect, under",
    "unclipped": "No ratio reached a clip bound, so the recipe had no effect, under",
}


WARNINGS = {
    "collapsed": f"Collapsed: entropy fell below {COLLAPSED:.0%} of its start and stayed there, {{begins}}.",
    "withdrawn": f"Released: entropy fell below {COLLAPSED:.0%} of its start as the coefficient was taken back to "
    "zero, {begins}.",
    "exploded": f"Exploded: entropy rose above {EXPLODED:g} times its start, {{begins}}; at worst {{number}} nats.",
    "leaked": f"Leaked: more than {LEAKED:.0%} of the probability went to useless tokens, {{begins}}; at worst "
    "{share}.",
    "pinned": "Pinned: the coefficient sat at its ceiling in {shares}; the controller had no more to give.",
    "oscillated": "Oscillated: entropy swung up and down {worst:.0f} times at most, {begins}.",
    "idle": "Idle: the coefficient was zero at every step, so the recipe's term did nothing.",
    "unclipped": "Inert: no token's ratio ever reached a clip bound, so the recipe's bounds did nothing. With one "
    "update per batch of rollouts the ratio is 1.",
    "inert": "Inert: the clamp removed at most {share} of the probability and next to nothing of the entropy.",
}
"""A sentence for every finding; the names in braces are filled in from the runs in which it was made."""


def headline(groups: Sequence[Group]) -> str:
    """Return one sentence: where each recipe took the entropy."""
    by_kind: dict[str, list[Group]] = {}
    for group in groups:
        by_kind.setdefault(_verdict(group), []).append(group)
    clauses = [
        f"{clause} {listed([one.name + _share(one, kind, ' (', ')') for one in by_kind[kind]], most=4)}"
        for kind, clause in _CLAUSES.items()
        if kind in by_kind
    ]
    if "plain" in by_kind:
        clauses.append(f"ended at {listed([f'{_of_start(one)} under {one.name}' for one in by_kind['plain']], most=4)}")
    return f"Entropy {listed(clauses)}." if clauses else "No run has a step on record yet."


def chip(group: Group) -> str:
    """Return the fate of a recipe's entropy in a word or two."""
    return _CHIPS[_verdict(group)]


def _verdict(group: Group) -> str:
    # The worst of its seeds comes first.
    if not group.facts:
        return "empty"
    for kind in ("exploded", "collapsed", "withdrawn"):
        if group.with_alarm(kind):
            return kind
    inside = group.over_seeds("in_band")
    if inside is None:
        return "plain"
    return "held" if inside.mean >= HELD else "wandered"


def _share(group: Group, kind: str, before: str, after: str = "") -> str:
    found, all_of = len(group.with_alarm(kind)), len(group.facts)
    return f"{before}{found} of {all_of} seeds{after}" if 0 < found < all_of else ""


def _of_start(group: Group) -> str:
    share = mean(
        facts.entropy / facts.entropy_start
        for facts in group.final
        if facts.entropy is not None and facts.entropy_start
    )
    if share is None:
        return ABSENT
    return f"{100 * share:.0f}% of its start" if share < 2 else f"{share:.1f} times its start"


def standfirst(groups: Sequence[Group], ks: Sequence[str]) -> list[str]:
    """Return the sentences under the headline: pass@k at the end, the clamp, anything that went wrong, the cost."""
    passes = [sentence for k in dict.fromkeys([*ks[:1], *ks[-1:]]) if (sentence := _passes(groups, k))]
    alone = bool(passes) and all(len(group.final) < 2 for group in groups)
    wrong = [_went_wrong(groups, kind) for kind in _WENT_WRONG]
    parts = ["One seed: no interval." * alone, _clamps(groups), _leaks(groups), *wrong, _cost(groups)]
    return passes + [sentence for sentence in parts if sentence]


def _range(valued: list[tuple[float, str]], before: str = "") -> str:
    if len(valued) <= _FEW:
        return before + listed([text for _, text in valued])
    return f"between {min(valued)[1]} and {max(valued)[1]}"


def _passes(groups: Sequence[Group], k: str) -> str:
    found = [(group, passed) for group in groups if (passed := group.passed(k))]
    ended = [(passed.mean, f"{with_interval(passed, share=True)} under {group.name}") for group, passed in found]
    if not ended:
        return ""
    before = start_model([run for group in groups for run in group.runs], k)
    origin = f" The start model had {with_interval(before, share=True)}." if before else ""
    return f"pass@{k} ended {_range(ended, 'at ')}.{origin}"


def _clamps(groups: Sequence[Group]) -> str:
    found = [(group, did) for group in groups if (did := _clamp(group)) and (did.mass or did.nats)]
    acted = [
        (
            did.nats,
            f"{number(did.nats)} nats of the entropy ({percent(did.mass)} of the probability) under {group.name}",
        )
        for group, did in found
        if not did.inert
    ]
    idle = [group.name for group, did in found if did.inert]
    took = f"The clamp took {_range(acted)}." if acted else ""
    inert = f"The clamp hardly acted under {listed(idle, most=_MOST)}." if idle else ""
    return " ".join(filter(None, (took, inert)))


def _leaks(groups: Sequence[Group]) -> str:
    leaking = [
        f"{group.name} (at worst {percent(_worst(found))}{_share(group, 'leaked', ', ')})"
        for group in groups
        if (found := group.with_alarm("leaked"))
    ]
    listing = listed(leaking, most=_MOST)
    return f"More than {LEAKED:.0%} of the probability leaked into useless tokens under {listing}." if leaking else ""


def _went_wrong(groups: Sequence[Group], kind: str) -> str:
    found = [group.name + _share(group, kind, " (", ")") for group in groups if group.with_alarm(kind)]
    return f"{_WENT_WRONG[kind]} {listed(found, most=_MOST)}." if found else ""


def _cost(groups: Sequence[Group]) -> str:
    means = [(group, estimate(facts.run.wall_seconds for facts in group.final)) for group in groups]
    times = [(found.mean, duration(found.mean), group.name) for group, found in means if found]
    if not times:
        return ""
    same = len({time for _, time, _ in times}) == 1
    took = times[0][1] if same else _range([(seconds, f"{time} under {who}") for seconds, time, who in times])
    used = [run.process_seconds for group in groups for run in group.runs if run.process_seconds is not None]
    together = f"; all runs together, {duration(sum(used))} of CPU" if used else ""
    return f"A run took {took}{together}."


def account(group: Group, ks: Sequence[str]) -> str:
    """Return the sentences about one recipe: entropy, band, accuracy, clamp."""
    if not group.facts:
        return "No step is on record yet."
    sentences = [_entropy(group), _band(group), *(_pass(group, k) for k in ks), _clamp_sentence(group)]
    return " ".join(filter(None, sentences))


def _entropy(group: Group) -> str:
    first, last = group.over_seeds("entropy_start"), group.over_seeds("entropy")
    if first is None or last is None:
        return "The entropy was not a finite number at any step."
    over = f"over {last.seeds} seeds" if last.seeds > 1 else "one seed: no interval"
    return (
        f"Entropy went from {number(first.mean)} to {with_interval(last)} nats per token ({over}), {_of_start(group)}."
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


class _Clamp(NamedTuple):
    """Removed by a recipe's clamp, on average over its runs."""

    mass: float
    """Probability."""
    nats: float
    share: float
    """Of the whole entropy."""
    inert: bool


def _clamp(group: Group) -> _Clamp | None:
    mass, nats = group.over_seeds("removed_mass"), group.over_seeds("removed_entropy")
    whole = group.over_seeds("entropy_mean")
    if mass is None or nats is None or whole is None:
        return None
    share = abs(nats.mean) / whole.mean if whole.mean > 0 else 0.0
    return _Clamp(mass.mean, nats.mean, share, inert=share < INERT_SHARE and mass.mean < INERT_MASS)


def _clamp_sentence(group: Group) -> str:
    found = _clamp(group)
    if found is None:
        return ""
    if not (found.mass or found.nats):
        return "Nothing was clamped: its measure is the full entropy."
    did = "it was nearly inert" if found.inert else "it did something"
    return (
        f"The clamp removed {percent(found.mass)} of the probability and {number(found.nats)} nats "
        f"({percent(found.share)} of the entropy) on average over the run: {did}."
    )


def warnings(group: Group) -> list[str]:
    """Return one sentence per kind of finding, with the steps and seeds it concerns."""
    kinds = dict.fromkeys(alarm.kind for facts in group.facts for alarm in facts.alarms)
    return [_warning(kind, group.with_alarm(kind)) for kind in kinds]


def _warning(kind: str, found: list[tuple[Facts, Alarm]]) -> str:
    begins = [f"{alarm.step} (seed {facts.run.seed})" for facts, alarm in found]
    shares = [f"{percent(alarm.value)} of the steps (seed {facts.run.seed})" for facts, alarm in found]
    worst = _worst(found)
    return WARNINGS[kind].format(
        begins=f"from step {listed(begins, most=_MOST)}",
        shares=listed(shares, most=_MOST),
        worst=worst,
        number=number(worst),
        share=percent(worst),
    )


def _worst(found: list[tuple[Facts, Alarm]]) -> float:
    return max(alarm.value for _, alarm in found)


def differences(groups: Sequence[Group], ks: Sequence[str]) -> str:
    """Return in a sentence which pass@k differ clearly from the baseline's."""
    base = baseline(groups)
    found = [
        (f"pass@{k} of {group.name} by {signed(difference, share=True)} points", clear(difference))
        for k in ks
        for group in compared(groups)
        if (difference := paired(group, base, lambda facts, k=k: facts.pass_end.get(k))) is not None
    ]
    if not found:
        return "No pass@k is on record for the same seeds."
    apart = [text for text, is_clear in found if is_clear]
    if not apart:
        return f"No pass@k differs clearly from that of {base.name}."
    return f"Clearly apart from {base.name}: {listed(apart, most=_MOST)}."


def unfinished(runs: Sequence[Run]) -> list[str]:
    """Return one sentence per run whose values are not final."""
    return [f"{label(run.label)}, seed {run.seed}, {_state(run)}." for run in runs if not run.finished]


def _state(run: Run) -> str:
    if run.status == "waiting":
        return "has not started"
    words = {"running": "is marked as still running", "done": "is marked as done", "stopped": "was stopped"}
    planned = f" of {run.planned}" if run.planned else ""  # a loop of one's own need not say how long it will be
    reached = f"after {run.reached}{planned} steps" if run.steps else "without a single step on record"
    return f"{words.get(run.status, 'failed')} {reached}"
