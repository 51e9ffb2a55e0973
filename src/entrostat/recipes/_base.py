"""A recipe: one published system as a value that names its parts, and the decorator that registers one."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, ParamSpec, TypeAlias

from entrostat.controllers import Constant, Controller
from entrostat.edits import Edit
from entrostat.errors import require, require_choice, require_count, require_finite, unknown_name
from entrostat.measures import Measure, Shannon
from entrostat.regulator import Window
from entrostat.terms import Signal, Term

__all__ = ["HOST_OFFERS", "RECIPES", "InertRecipeWarning", "Paper", "Recipe", "Redraw", "recipe"]

P = ParamSpec("P")
Judge = Literal["advantage", "reward"]
Embedded: TypeAlias = Mapping[str, Mapping[str, Any]]

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
"""Features of a host that a recipe may need. Every host gives log-probs, advantages, mask and entropies."""

RECIPES: dict[str, Callable[..., Recipe]] = {}
"""Every registered recipe by name; in Python, call the function."""


class InertRecipeWarning(UserWarning):
    """A recipe has no effect in the job it was given to."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method comes from."""

    title: str
    authors: str
    year: int
    url: str
    bibtex: str


@functools.cache
def papers() -> Mapping[str, Paper]:
    """Return the papers of `references.bib` by key. That file has one field per line, which is all this reads.

    Example:
        >>> papers()["shen2025entropy"].authors
        'Han Shen'
    """
    text = files("entrostat.recipes").joinpath("references.bib").read_text(encoding="utf-8")
    found: dict[str, Paper] = {}
    for entry in re.finditer(r"^@\w+\{([^,\s]+),\n.*?^\}", text, re.DOTALL | re.MULTILINE):
        # Braces keep capitals in BibTeX; in plain text they mean nothing.
        fields = {
            key: value.translate({ord("{"): None, ord("}"): None})
            for key, value in re.findall(r"^ *(\w+) *= \{(.*)\},$", entry[0], re.MULTILINE)
        }
        found[entry[1]] = Paper(
            title=fields["title"],
            authors=_in_order(fields["author"].split(" and ")),
            year=int(fields["year"]),
            url=fields["url"],
            bibtex=entry[0],
        )
    return MappingProxyType(found)


def _in_order(authors: list[str]) -> str:
    """Return "Shen, Han" and more of the kind as a reader would write them."""
    *others, last = (" ".join(reversed(author.split(", "))) for author in authors)
    return f"{', '.join(others)} and {last}" if others else last


@dataclass(frozen=True, kw_only=True)
class Redraw:
    """Draw responses to some prompts of each rollout batch again, at the controller's coefficient as temperature.

    Of the new responses those whose group advantage, or reward, is above `threshold` are taken, with an advantage of 1
    at every token, up to a limit. They replace as many responses of the batch, from its start. Counts are per process:
    each draws for its own prompts and replaces its own responses.

    Args:
        share: share of the prompts drawn again, from the start of the batch.
        threshold: a new response is taken if its advantage or reward, as `judge` says, is above this.
        judge: `"advantage"` or `"reward"`.
        limit: most responses taken per rollout batch, as a share of its responses.
        limit_cooling: the limit while the temperature is below the batch's own.

    Raises:
        ValueError: a share outside (0, 1], an unknown judge.

    Example:
        >>> redraw = Redraw(share=0.25, limit=0.1, limit_cooling=0.05)
        >>> redraw.prompts(8), redraw.most(64, cooling=False), redraw.most(64, cooling=True)
        (2, 6, 3)
    """

    share: float = 0.25
    threshold: float = 0.05
    judge: Judge = "advantage"
    limit: float = 60 / 2560
    limit_cooling: float = 30 / 2560

    def __post_init__(self) -> None:
        for name in ("share", "limit", "limit_cooling"):
            require(0 < require_finite(name, getattr(self, name)) <= 1, name, "lie in (0, 1]", getattr(self, name))
        require_finite("threshold", self.threshold)
        require_choice("judge", self.judge, Judge)

    def prompts(self, prompts: int) -> int:
        """Return how many of so many prompts are drawn again; at least one."""
        return max(1, int(self.share * require_count("prompts", prompts, least=1)))

    def most(self, responses: int, *, cooling: bool) -> int:
        """Return how many new responses may enter a batch of so many; at least one."""
        return max(1, round((self.limit_cooling if cooling else self.limit) * responses))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to control entropy: a measure, a controller, edits of the host's objective, and terms added to it.

    Args:
        measure: logits -> the entropy that the terms pay for and the controller is fed.
        controller: measured entropy -> coefficient; constantly 0 if not given.
        signal: fed to the controller instead of the mean of the measure.
        terms: losses per token, added to the host's loss.
        edits: changes to the inputs of the host's loss, in every micro-batch, in this order.
        rollout_edits: changes made once per rollout batch, before the first update on it, in this order.
        redraw: which rollouts are drawn a second time, at another temperature.
        needs: features that the host must offer, of `HOST_OFFERS`; checked when a trainer is made, never ignored.
        window: when the controller moves: after each optimizer step, after each rollout batch, or on fresh rollouts
            before the first update on them.
        ratio_only: whether it does nothing while the ratio is 1, that is, with one update per rollout batch. A host
            warns then.
        name: the name it is registered under. This and the fields below are filled in by `recipe`.
        summary: one sentence, for lists and reports.
        paper: the source, where there is one.
        parameters: the settings it was built with, for records.

    Raises:
        ValueError: an unknown need or window.
    """

    measure: Measure = field(default_factory=Shannon)
    controller: Controller[Any] = field(default_factory=lambda: Constant(coef=0.0))
    signal: Signal | None = None
    terms: tuple[Term, ...] = ()
    edits: tuple[Edit, ...] = ()
    rollout_edits: tuple[Edit, ...] = ()
    redraw: Redraw | None = None
    needs: frozenset[str] = frozenset()
    window: Window = "step"
    ratio_only: bool = False
    name: str = "unnamed"
    summary: str = ""
    paper: Paper | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        unknown = sorted(self.needs - HOST_OFFERS.keys())
        require(not unknown, "needs", f"be among {sorted(HOST_OFFERS)}", unknown)
        require_choice("window", self.window, Window)
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

    def with_controller(self, controller: Controller[Any]) -> Recipe:
        """Return the recipe steered by another controller.

        Example:
            >>> from entrostat import controllers, recipes
            >>> base = recipes.aent(low=0.2, high=0.3)
            >>> base.with_controller(controllers.Constant(coef=0.01)).controller
            Constant(coef=0.01)
        """
        return dataclasses.replace(self, controller=controller)

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
        steering = [each for each in (self, other) if each.terms or each.controller != Constant(coef=0.0)]
        if len(steering) == 2:
            raise ValueError(
                f"recipes {self.name!r} and {other.name!r} both steer a coefficient of their own; a run has one. "
                "Combine one of them with a recipe that only edits, such as 'clip_higher'."
            )
        if self.redraw and other.redraw:
            raise ValueError(f"recipes {self.name!r} and {other.name!r} both draw rollouts again; choose one.")
        for drawing, editing in ((self, other), (other, self)):
            if drawing.redraw and any("advantages" in edit.sets for edit in editing.rollout_edits):
                raise ValueError(
                    f"recipe {drawing.name!r} gives responses drawn again an advantage of 1, which {editing.name!r} "
                    "would replace; choose one."
                )
        return dataclasses.replace(
            # Measure, controller, signal, window and terms are those of the one that steers.
            steering[0] if steering else self,
            name=f"{self.name}+{other.name}",
            summary=f"{self.summary} {other.summary}",
            edits=_agreeing(self.name, other.name, self.edits, other.edits),
            rollout_edits=_agreeing(self.name, other.name, self.rollout_edits, other.rollout_edits),
            redraw=self.redraw or other.redraw,
            needs=self.needs | other.needs,
            ratio_only=self.ratio_only and other.ratio_only,
            parameters={**self.parameters, **other.parameters},
        )


def _agreeing(name: str, other: str, edits: tuple[Edit, ...], more: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """Return the edits one after the other; raise if two of different recipes set one field."""
    for one in edits:
        for another in more:
            if twice := sorted(one.sets & another.sets):
                raise ValueError(
                    f"{type(one).__name__} of {name!r} and {type(another).__name__}"
                    f"{f' of {other!r}' if other else ''} both set {', '.join(twice)}; choose one."
                )
    return edits + more


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """What the decorator was given: true of every recipe that the function builds."""

    acts_on: str = ""
    paper: Paper | None = None
    needs: frozenset[str] = frozenset()
    embedded: Embedded = field(default_factory=lambda: MappingProxyType({}))


DECLARED: dict[str, Declaration] = {}


def recipe(
    *,
    acts_on: str,
    paper: str | Paper | None = None,
    needs: Collection[str] = (),
    ratio_only: bool = False,
    summary: str = "",
    embedded: Embedded | None = None,
) -> Callable[[Callable[P, Recipe]], Callable[P, Recipe]]:
    """Register a function that puts a recipe together; it may then be named in jobs, on the command line and to a host.

    The recipe's name is the function's. Its settings are recorded by the function's signature; of the recipe that the
    function returns, only the parts that differ from the defaults of `Recipe` have to be given.

    Args:
        acts_on: the part of training that it changes, for lists: `"loss term"`, `"advantages"`, `"clip bounds"`, ...
        paper: a key of `references.bib`, or a paper of your own; None for a method that has none.
        needs: what every recipe of this kind needs of a host, of `HOST_OFFERS`. Where it depends on a setting, the
            function says so in the recipe it returns.
        ratio_only: as in `Recipe`.
        summary: one sentence; the first line of the function's docstring if not given.
        embedded: what suits the small model of the embedded job: `parameters` of the recipe, and fields of `train`.
            In nats no two models agree, so a paper's own targets and coefficients seldom do.

    Returns:
        A decorator; the decorated function has the same signature.

    Raises:
        ValueError: the name is taken, the paper or a need is unknown, or there is no summary.

    Example:
        >>> from entrostat.edits import ClipBounds
        >>> @recipe(acts_on="clip bounds", ratio_only=True, summary="Clip bounds as far apart as one number says.")
        ... def clip_by(*, width: float) -> Recipe:
        ...     return Recipe(edits=(ClipBounds(low=width / 2, high=width / 2),))
        >>> clip_by(width=0.4).name, clip_by(width=0.4).parameters
        ('clip_by', {'width': 0.4})
        >>> _ = RECIPES.pop("clip_by")
    """
    if isinstance(paper, str) and paper not in papers():
        raise unknown_name("paper", paper, papers())
    for need in needs:
        if need not in HOST_OFFERS:
            raise unknown_name("need", need, HOST_OFFERS)
    source = papers()[paper] if isinstance(paper, str) else paper

    def register(function: Callable[P, Recipe]) -> Callable[P, Recipe]:
        name = function.__name__
        line = summary or (inspect.getdoc(function) or "").partition("\n")[0]
        require(bool(line), "summary", f"be given, or the docstring of {name!r} begin with one", summary)
        signature = inspect.signature(function)

        @functools.wraps(function)
        def build(*args: P.args, **kwargs: P.kwargs) -> Recipe:
            parts = function(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            return dataclasses.replace(
                parts,
                name=name,
                summary=line,
                paper=source,
                needs=parts.needs | frozenset(needs),
                ratio_only=parts.ratio_only or ratio_only,
                # A setting that stands for another value is recorded as that value, where the function says so.
                parameters={**given.arguments, **parts.parameters},
            )

        # The same lines may be run again (a reload, a test collected twice); another function may not take the name.
        if (other := RECIPES.get(name)) is not None and _place(other) != _place(function):
            raise ValueError(f"a recipe is registered as {name!r} already, by {_place(other)[0]}; choose another name.")
        RECIPES[name] = build
        DECLARED[name] = Declaration(
            acts_on=acts_on, paper=source, needs=frozenset(needs), embedded=MappingProxyType(embedded or {})
        )
        return build

    return register


def _place(function: Callable[..., Recipe]) -> tuple[str, int]:
    """Return file and line of a function; of another callable, which has none, its own description."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (repr(function), 0) if code is None else (code.co_filename, code.co_firstlineno)
