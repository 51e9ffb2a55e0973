"""The sentences under the headline: pass@k at the end, what the clamp did, what went wrong, what it cost."""

from __future__ import annotations

from entrostat.observe.analysis.findings import LEAKED
from entrostat.observe.analysis.statistics import estimate
from entrostat.observe.report._facts import Group, start_model
from entrostat.observe.report._headline import Name
from entrostat.observe.report._text import duration, listed, number, percent, with_interval
from entrostat.observe.report._words import Clamp, clamp

_FEW = 4
"""Recipes up to which a sentence gives every one's number; of more, the least and the greatest: a table has all."""
_MOST = 6
"""Recipes named in a sentence without numbers."""
_WENT_WRONG = {
    "oscillated": "Entropy swung up and down under",
    "pinned": "The coefficient sat at its ceiling, with no more to give, under",
    "idle": "The coefficient was zero at every step, so nothing was done, under",
    "unclipped": "No ratio reached a clip bound, so nothing was done, under",
}


def standfirst(groups: list[Group], ks: list[str], name: Name) -> list[str]:
    """Return the sentences."""
    passes = [sentence for k in dict.fromkeys(ks[:1] + ks[-1:]) if (sentence := _passes(groups, k, name))]
    alone = bool(passes) and all(len(group.final) < 2 for group in groups)
    wrong = [_went_wrong(groups, kind, name) for kind in _WENT_WRONG]
    parts = ["One seed: no interval." * alone, _clamps(groups, name), _leaks(groups, name), *wrong, _cost(groups, name)]
    return passes + [sentence for sentence in parts if sentence]


def _range(told: list[tuple[float, str]], before: str = "") -> str:
    texts = [text for _, text in told]
    if len(told) <= _FEW:
        return before + listed(texts)
    return f"between {min(told)[1]} and {max(told)[1]}"


def _passes(groups: list[Group], k: str, name: Name) -> str:
    found = [(group, passed) for group in groups if (passed := group.passed(k))]
    ended = [(passed.mean, f"{with_interval(passed, share=True)} under {name(group)}") for group, passed in found]
    if not ended:
        return ""
    before = start_model([run for group in groups for run in group.runs], k)
    origin = f" The start model had {with_interval(before, share=True)}." if before else ""
    return f"pass@{k} ended {_range(ended, 'at ')}.{origin}"


def _clamps(groups: list[Group], name: Name) -> str:
    found = [(group, did) for group in groups if (did := clamp(group)) and not did.nothing]
    acted = [(did.nats, f"{_taken(did)} under {name(group)}") for group, did in found if not did.inert]
    idle = [name(group) for group, did in found if did.inert]
    took = f"The clamp took {_range(acted)}." if acted else ""
    inert = f"The clamp hardly acted under {listed(idle, most=_MOST)}." if idle else ""
    return " ".join(filter(None, (took, inert)))


def _taken(did: Clamp) -> str:
    return f"{number(did.nats)} nats of the entropy ({percent(did.mass)} of the probability)"


def _leaks(groups: list[Group], name: Name) -> str:
    leaking = [_with_leak(group, name) for group in groups if group.with_alarm("leaked")]
    listing = listed(leaking, most=_MOST)
    return f"More than {LEAKED:.0%} of the probability leaked into useless tokens under {listing}." if leaking else ""


def _with_leak(group: Group, name: Name) -> str:
    found = group.with_alarm("leaked")
    return f"{name(group)} (at worst {percent(max(alarm.value for _, alarm in found))}{_share(group, 'leaked', ', ')})"


def _went_wrong(groups: list[Group], kind: str, name: Name) -> str:
    found = [name(group) + _share(group, kind, " (", ")") for group in groups if group.with_alarm(kind)]
    return f"{_WENT_WRONG[kind]} {listed(found, most=_MOST)}." if found else ""


def _share(group: Group, kind: str, before: str, after: str = "") -> str:
    found, all_of = len(group.with_alarm(kind)), len(group.facts)
    return f"{before}{found} of {all_of} seeds{after}" if found < all_of else ""


def _cost(groups: list[Group], name: Name) -> str:
    means = [(group, estimate(facts.run.wall_seconds for facts in group.final)) for group in groups]
    times = [(found.mean, duration(found.mean), name(group)) for group, found in means if found]
    if not times:
        return ""
    same = len({time for _, time, _ in times}) == 1
    took = times[0][1] if same else _range([(seconds, f"{time} under {who}") for seconds, time, who in times])
    used = [run.process_seconds for group in groups for run in group.runs if run.process_seconds is not None]
    together = f"; all runs together, {duration(sum(used))} of CPU" if used else ""
    return f"A run took {took}{together}."
