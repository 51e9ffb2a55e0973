"""The job itself: `Job()` is the embedded default job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from entrostat.errors import require, require_count, unknown_name
from entrostat.jobs.settings._data import DataJob
from entrostat.jobs.settings._evaluation import EvaluationJob
from entrostat.jobs.settings._keys import section
from entrostat.jobs.settings._recipe import RecipeJob
from entrostat.jobs.settings._train import TrainJob
from entrostat.recipes import describe, embedded, names

TRACKERS = ("tensorboard", "trackio", "wandb")
"""The trackers a job can show its runs to, through the host's integrations."""


def _default_recipes() -> tuple[RecipeJob, ...]:
    # Chosen on validation problems, with seeds the default job does not use (docs/embedded-job.md shows the sweeps).
    # The published values belong to other models: no band in nats suits two.
    law: dict[str, Any] = {"initial": 0.02, "rate": 0.03, "floor": 0.0, "ceiling": 0.2, "warmup": 20}
    return (
        RecipeJob(name="none"),
        RecipeJob(name="entropy_bonus", parameters={"coef": 0.03}),
        RecipeJob(name="aent", parameters={"clamp": 0.33, "low": 0.2, "high": 0.4, **law}),
        RecipeJob(
            name="aent", label="aent-tight", parameters={"keep": 31, "low": 0.2, "high": 0.3, "anneal": 0.3, **law}
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run.

    Args:
        steps: optimizer steps of each run.
        seeds: one run of every recipe for each of them; the same seed means the same prompts in the same order.
        model: directory or hub id of a causal language model; empty for the embedded warm start.
        data: what is trained on; empty for the embedded countdown.
        recipes: the lines of the comparison.
        train: how a run trains.
        evaluation: how it is judged.
        workers: runs at a time, one thread each.
        report_to: trackers that everything is shown to as well: `tensorboard`, `wandb`, `trackio`.
    """

    steps: int = 360
    seeds: tuple[int, ...] = (0,)
    model: str = ""
    recipes: tuple[RecipeJob, ...] = field(default_factory=_default_recipes)
    data: DataJob = field(default_factory=DataJob)
    train: TrainJob = field(default_factory=TrainJob)
    evaluation: EvaluationJob = field(default_factory=EvaluationJob)
    workers: int = 2
    report_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_count("steps", self.steps, least=1)
        require_count("workers", self.workers, least=1)
        for seed in self.seeds:
            require_count("seeds", seed)
        require(bool(self.seeds), "seeds", "name at least one seed", self.seeds)
        require(len(set(self.seeds)) == len(self.seeds), "seeds", "differ from each other", self.seeds)
        require(bool(self.recipes), "recipes", "name at least one recipe", self.recipes)
        labels = [recipe.label for recipe in self.recipes]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        require(not twice, "recipes", "have different labels", twice, "Give one of them a `label`.")
        for tracker in self.report_to:
            if tracker not in TRACKERS:
                raise unknown_name("tracker in `report_to`", tracker, TRACKERS)
        require(len(set(self.report_to)) == len(self.report_to), "report_to", "name each tracker once", self.report_to)
        if self.train.vllm:
            require(self.workers == 1, "workers", "be 1 with vllm", self.workers, "One engine serves one policy.")

    def with_recipes(self, chosen: list[str]) -> Job:
        """Return the job reduced to some of its lines; a registered recipe it lacks is added.

        `a+b` combines the two. On the embedded model a recipe is added with settings that suit that model.

        Example:
            >>> [recipe.label for recipe in Job().with_recipes(["aent", "none"]).recipes]
            ['aent', 'none']
        """
        here = {recipe.label: recipe for recipe in self.recipes}
        return dataclasses.replace(self, recipes=tuple(here.get(name) or self._line(name, here) for name in chosen))

    def _line(self, text: str, here: Mapping[str, RecipeJob]) -> RecipeJob:
        """Return the line for a name, or for several joined by `+`."""
        first, *rest = text.split("+")
        for name in (first, *rest):
            if name not in names() and not (name == first and name in here):
                raise unknown_name("recipe", name, {*names(), *here})
        line = here.get(first) or self._registered(first)
        if not rest:
            return line
        others = [self._registered(name) for name in rest]
        plus = [{"name": other.name, "parameters": dict(other.parameters)} for other in others]
        train = {name: value for one in (line, *others) for name, value in one.train.items()}
        return dataclasses.replace(line, label=text, plus=(*line.plus, *plus), train=train)

    def _registered(self, name: str) -> RecipeJob:
        """Return a recipe's line with what suits the embedded model; another model's user has to choose."""
        return RecipeJob(name=name, **({} if self.model else embedded(name)))

    def line(self, recipe: RecipeJob) -> Job:
        """Return the job as one of its lines trains.

        Example:
            >>> Job().line(RecipeJob(name="none", train={"beta": 0.01})).train.beta
            0.01
        """
        table = {**dataclasses.asdict(self.train), **recipe.train}
        return dataclasses.replace(self, train=section(TrainJob, table, "train"))


def needs(name: str) -> list[str]:
    """Return what a recipe needs of a host, as the embedded job runs it.

    Example:
        >>> needs("clip_higher")
        ['old_logprobs']
    """
    return describe(name)["needs"]
