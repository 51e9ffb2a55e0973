"""The headline: where each recipe took the entropy."""

from __future__ import annotations

from collections.abc import Callable

from entrostat.observe.report._facts import Group
from entrostat.observe.report._text import listed
from entrostat.observe.report._words import of_start

Name = Callable[[Group], str]
"""How a recipe is written: as plain text or marked up."""

HELD = 0.6
"""Share of steps inside the band from which we say that the band held."""

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


def verdict(group: Group) -> str:
    """Return what happened to a recipe's entropy in one word, the worst of its seeds first."""
    if not group.facts:
        return "empty"
    kinds = {alarm.kind for facts in group.facts for alarm in facts.alarms}
    for kind in ("exploded", "collapsed", "withdrawn"):
        if kind in kinds:
            return kind
    inside = group.over_seeds("in_band")
    if inside is None:
        return "plain"
    return "held" if inside.mean >= HELD else "wandered"


def chip(group: Group) -> str:
    """Return the verdict as a label of a word or two."""
    return _CHIPS[verdict(group)]


def headline(groups: list[Group], name: Name) -> str:
    """Return one sentence: where each recipe took the entropy."""
    by_kind: dict[str, list[Group]] = {}
    for group in groups:
        by_kind.setdefault(verdict(group), []).append(group)
    clauses = [
        f"{clause} {listed([_with_share(group, kind, name) for group in by_kind[kind]], most=4)}"
        for kind, clause in _CLAUSES.items()
        if kind in by_kind
    ]
    if "plain" in by_kind:
        clauses.append(f"ended at {listed([_kept(group, name) for group in by_kind['plain']], most=4)}")
    if not clauses:
        return "No run has a step on record yet."
    return f"Entropy {listed(clauses)}."


def _with_share(group: Group, kind: str, name: Name) -> str:
    found, all_of = len(group.with_alarm(kind)), len(group.facts)
    partial = kind in ("exploded", "collapsed", "withdrawn") and found < all_of
    return name(group) + (f" ({found} of {all_of} seeds)" if partial else "")


def _kept(group: Group, name: Name) -> str:
    return f"{of_start(group)} under {name(group)}"
