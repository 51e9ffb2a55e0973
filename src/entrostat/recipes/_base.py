"""What a recipe is: one published system, as a value that says which parts it is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from entrostat.controllers import Constant, Controller
from entrostat.edits import Edit
from entrostat.errors import require, unknown_name
from entrostat.measures import Measure
from entrostat.recipes._redraw import Redraw
from entrostat.terms import Term
from entrostat.terms.signals import Signal

HOST_OFFERS: Mapping[str, str] = MappingProxyType(
    {
        "old_logprobs": "log-probs of the policy that wrote the responses, kept over several updates",
        "ref_logprobs": "log-probs of a reference model",
        "old_entropy": "one measuring pass over fresh rollouts, which a host that keeps old log-probs makes anyway",
        "logit_stats": "mean logit and sampled logit in that pass",
        "logit_scale": "a factor on the logits of each position",
        "rewards": "the reward of each response",
        "group_ids": "which responses answer one prompt",
        "total_steps": "the length of the run",
        "redraw": "a second set of rollouts at another temperature",
    }
)
"""What a recipe may need of a host beyond log-probs, advantages, mask and entropies, which every host gives."""

Window = Literal["step", "rollout", "fresh"]


class InertRecipeWarning(UserWarning):
    """A recipe cannot do anything in the job it was given to."""


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
        signal: what the controller is fed instead of the mean of the measure.
        terms: what is added to the host's loss.
        edits: what is changed in what the host's loss reads, in every micro-batch, in this order.
        rollout_edits: what is changed once per rollout batch, before the first update on it, in this order.
        redraw: which rollouts are drawn a second time, at another temperature.
        needs: what the host must offer, of `HOST_OFFERS`; checked when a trainer is made, never ignored.
        window: when the controller moves: after each optimizer step, after each rollout batch, or on fresh rollouts
            before the first update on them.
        ratio_only: whether it does nothing while the ratio is 1, that is, with one update per rollout batch. A host
            warns then.
        paper: the source; None for the plain baseline.
        parameters: the settings it was built with, for records.

    Raises:
        ValueError: an unknown need or window.
    """

    name: str
    summary: str
    measure: Measure
    controller: Controller[Any]
    signal: Signal | None = None
    terms: tuple[Term, ...] = ()
    edits: tuple[Edit, ...] = ()
    rollout_edits: tuple[Edit, ...] = ()
    redraw: Redraw | None = None
    needs: frozenset[str] = frozenset()
    window: Window = "step"
    ratio_only: bool = False
    paper: Paper | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        unknown = sorted(self.needs - HOST_OFFERS.keys())
        require(not unknown, "needs", f"be among {sorted(HOST_OFFERS)}", unknown)
        if self.window not in get_args(Window):
            raise unknown_name("window", self.window, get_args(Window))
        implied = {"redraw"} if self.redraw else set[str]()
        implied |= {"old_entropy"} if self.window == "fresh" or "logit_stats" in self.needs else set()
        object.__setattr__(self, "needs", self.needs | implied)

    def with_edits(self, *edits: Edit) -> Recipe:
        """Return the recipe with more edits after its own.

        Example:
            >>> from entrostat import recipes
            >>> from entrostat.edits import EntropyMask
            >>> len(recipes.none().with_edits(EntropyMask(keep=0.2)).edits)
            1
        """
        return dataclasses.replace(self, edits=_agreeing(self.name, "", self.edits, edits))

    def plus(self, other: Recipe) -> Recipe:
        """Return both systems at once: the edits of both; measure, controller and terms of the one that steers.

        Raises:
            ValueError: both set one field, both have terms or a moving coefficient, or both draw rollouts again.

        Example:
            >>> from entrostat import recipes
            >>> both = recipes.aent(low=0.2, high=0.3).plus(recipes.clip_higher())
            >>> both.name, len(both.edits), both.controller == recipes.aent(low=0.2, high=0.3).controller
            ('aent+clip_higher', 1, True)
        """
        return _combined(self, other)

    def with_controller(self, controller: Controller[Any]) -> Recipe:
        """Return the recipe steered by another controller.

        Example:
            >>> from entrostat import controllers, recipes
            >>> base = recipes.aent(low=0.2, high=0.3)
            >>> base.with_controller(controllers.Constant(coef=0.01)).controller
            Constant(coef=0.01)
        """
        return dataclasses.replace(self, controller=controller)


def _combined(first: Recipe, second: Recipe) -> Recipe:
    names = (first.name, second.name)
    leader = _leader(first, second)
    if first.redraw and second.redraw:
        raise ValueError(f"recipes {names[0]!r} and {names[1]!r} both draw rollouts again; choose one.")
    for drawing, other in ((first, second), (second, first)):
        if drawing.redraw and any("advantages" in edit.sets for edit in other.rollout_edits):
            raise ValueError(
                f"recipe {drawing.name!r} gives responses drawn again an advantage of 1, which {other.name!r} would "
                "replace; choose one."
            )
    return dataclasses.replace(
        leader,
        name="+".join(names),
        summary=f"{first.summary} {second.summary}",
        edits=_agreeing(*names, first.edits, second.edits),
        rollout_edits=_agreeing(*names, first.rollout_edits, second.rollout_edits),
        redraw=first.redraw or second.redraw,
        needs=first.needs | second.needs,
        ratio_only=first.ratio_only and second.ratio_only,
        parameters={**first.parameters, **second.parameters},
    )


def _leader(first: Recipe, second: Recipe) -> Recipe:
    """Return the recipe whose measure, controller, signal, window and terms the pair has."""
    steering = [recipe for recipe in (first, second) if recipe.terms or recipe.controller != Constant(coef=0.0)]
    if len(steering) == 2:
        raise ValueError(
            f"recipes {first.name!r} and {second.name!r} both steer a coefficient of their own; a run has one. "
            "Combine one of them with a recipe that only edits, such as 'clip_higher'."
        )
    return steering[0] if steering else first


def _agreeing(name: str, other: str, edits: tuple[Edit, ...], more: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """Return the edits in turn; raise if two of different recipes set one field."""
    for one in edits:
        for another in more:
            if twice := sorted(one.sets & another.sets):
                raise ValueError(
                    f"{type(one).__name__} of {name!r} and {type(another).__name__}"
                    f"{f' of {other!r}' if other else ''} both set {', '.join(twice)}; choose one."
                )
    return edits + more
