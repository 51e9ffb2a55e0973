"""Gives every recipe one colour, line and mark, the same all over the page."""

from __future__ import annotations

from typing import Any

from entrostat.observe.report._facts import Group
from entrostat.observe.report._text import label

NAME = 20
"""Characters of a name that stands in a plot."""
_SLOTS = 8
_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon")
_GAPS = {"solid": "", "dash": ' stroke-dasharray="7 4"', "dot": ' stroke-dasharray="2 4"'}


class Look:
    """What the recipes of a page look like."""

    def __init__(self, groups: list[Group]) -> None:
        # The neutral first colour is the baseline's; without one it stays unused.
        first = 0 if groups[0].recipe == "none" else 1
        self.index = {group.label: first + i for i, group in enumerate(groups)}
        # Many thin lines over one another would be a wall in front of the bold ones.
        self.thin = max(0.08, min(0.28, 3.4 / sum(len(group.runs) for group in groups)))

    def slot(self, group: Group) -> int:
        """Return the number of its colour."""
        return self.index[group.label] % _SLOTS

    def style(self, group: Group) -> str:
        """Return the class that sets its colour."""
        return f"r{self.slot(group)}"

    def dash(self, group: Group) -> str:
        """Return its line: past the last colour, the same colours come dashed."""
        return _DASHES[self.index[group.label] // _SLOTS % len(_DASHES)]

    def name(self, group: Group) -> str:
        """Return its label as HTML in its colour."""
        return f'<b class="name {self.style(group)}">{label(group.label)}</b>'

    def swatch(self, group: Group) -> str:
        """Return a piece of its line as HTML."""
        line = f'<line x1="1" y1="6" x2="27" y2="6" stroke="currentColor" stroke-width="3"{_GAPS[self.dash(group)]}/>'
        return f'<svg class="swatch" viewBox="0 0 28 12" aria-hidden="true">{line}</svg>'

    def described(self, group: Group) -> dict[str, Any]:
        """Return what the scripts must know to draw it. Plotly reads names as markup, so they are escaped for it."""
        slot = self.slot(group)
        return {
            "name": label(group.label),
            "short": label(group.label, limit=NAME),
            "slot": slot,
            "dash": self.dash(group),
            "symbol": _SYMBOLS[slot],
        }
