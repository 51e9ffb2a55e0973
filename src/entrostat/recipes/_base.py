"""What a recipe is: one published system, as a value that says which parts it is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from entrostat.controllers import Controller
from entrostat.edits import Edit
from entrostat.errors import require
from entrostat.measures import Measure
from entrostat.terms import Term

HOST_OFFERS = frozenset({"old_logprobs", "ref_logprobs", "old_entropy", "rewards", "group_ids", "total_steps"})
"""What a recipe may need of a host beyond log-probs, advantages, mask and entropies, which every host gives."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method comes from."""

    title: str
    authors: str
    year: int
    url: str
    bibtex: str


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to control entropy: what is measured, what steers the coefficient, what is edited and what is added.

    Args:
        name: the name it is registered under.
        summary: one sentence, for lists and reports.
        measure: logits -> the entropy that the terms pay for and the controller is fed.
        controller: measured entropy -> coefficient.
        terms: what is added to the host's loss.
        edits: what is changed in what the host's loss reads, in this order.
        needs: what the host must offer, of `HOST_OFFERS`; checked when a trainer is made, never ignored.
        window: how often the controller moves: once per optimizer step or once per rollout batch.
        paper: the source; None for the plain baseline.
        parameters: the settings it was built with, for records.

    Raises:
        ValueError: an unknown need or window.
    """

    name: str
    summary: str
    measure: Measure
    controller: Controller[Any]
    terms: tuple[Term, ...] = ()
    edits: tuple[Edit, ...] = ()
    needs: frozenset[str] = frozenset()
    window: Literal["step", "rollout"] = "step"
    paper: Paper | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        unknown = sorted(self.needs - HOST_OFFERS)
        require(not unknown, "needs", f"be among {sorted(HOST_OFFERS)}", unknown)
        require(self.window in ("step", "rollout"), "window", "be 'step' or 'rollout'", self.window)

    def with_edits(self, *edits: Edit) -> Recipe:
        """Return the recipe with more edits after its own.

        Example:
            >>> from entrostat import recipes
            >>> from entrostat.edits import EntropyMask
            >>> len(recipes.none().with_edits(EntropyMask(keep=0.2)).edits)
            1
        """
        return dataclasses.replace(self, edits=self.edits + edits)

    def with_controller(self, controller: Controller[Any]) -> Recipe:
        """Return the recipe steered by another controller.

        Example:
            >>> from entrostat import controllers, recipes
            >>> base = recipes.aent(low=0.2, high=0.3)
            >>> base.with_controller(controllers.Constant(coef=0.01)).controller
            Constant(coef=0.01)
        """
        return dataclasses.replace(self, controller=controller)
