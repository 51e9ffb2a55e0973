"""A job: everything `entrostat run` needs to know, as frozen values. `Job()` is the embedded default job.

A TOML file overrides any of it, under the same names:

    steps = 180
    seeds = [0, 1, 2]

    [train]
    learning_rate = 3e-4

    [data]
    source = "questions.jsonl"
    reward = "math"

    [[recipes]]
    label = "aent-tight"
    name = "aent"
    parameters = { keep = 31, low = 0.25, high = 0.35 }

A file that names recipes gets those and no others.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from entrostat.errors import find_name, require, require_count, require_finite, sentence, unknown_name
from entrostat.observe.files import read_text
from entrostat.recipes import Recipe, build, embedded, names

ANSWER_FROM: Final = ("whole", "boxed", "marker")
"""Where the answer stands in a text."""

REWARDS: Final = ("math", "exact")
"""The rewards that have a name; any other is given by its dotted path."""


@dataclass(frozen=True, kw_only=True)
class DataJob:
    """A dataset and its reward. Without a `source`, which is the default, it is the embedded countdown.

    A split that the data lacks is taken from `train`: a fixed choice of rows, the same in every run. The validation
    split is called `validation`, the test split `test`, unless they are named here.

    Args:
        source: a `.jsonl`, `.json`, `.csv` or `.parquet` file, a directory, or a hub id.
        subset: the hub's name of one of its configurations, such as `main`.
        revision: the hub's commit or tag; empty for the newest.
        train_split: name of the split to train on; a file is all `train`.
        validation_split: name of the split that evaluations during training use.
        test_split: name of the split that the first and the last evaluation use.
        held_out: rows taken from `train` for each missing split, at most a tenth of it each.
        prompt: column of the question; a text, or a list of messages.
        answer: column of the reference answer; empty if a reward of your own needs none.
        answer_from: where the answer stands in that column: the `whole` text, its last `boxed` part, or the part after
            the last `marker`.
        answer_marker: the marker.
        template: the text the model reads; `{prompt}` stands for the question.
        system: the system message; needs the chat template.
        chat_template: write the question with the model's chat template.
        max_prompt_tokens: rows with a longer prompt are left out; 0 keeps them all.
        reward: `math` compares mathematical values, `exact` texts; a function of your own by its dotted path, with the
            arguments TRL gives a reward.
        correct_from: reward from which an evaluation counts a response as correct.
    """

    source: str = ""
    subset: str = ""
    revision: str = ""
    train_split: str = "train"
    validation_split: str = ""
    test_split: str = ""
    held_out: int = 256
    prompt: str = "prompt"
    answer: str = "answer"
    answer_from: str = "whole"
    answer_marker: str = "####"
    template: str = "{prompt}"
    system: str = ""
    chat_template: bool = True
    max_prompt_tokens: int = 1024
    reward: str = "math"
    correct_from: float = 1.0

    def __post_init__(self) -> None:
        if not self.source:
            given = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default]
            if given:
                raise ValueError(sentence("source", "be given where [data] sets " + ", ".join(given), self.source))
        require_count("held_out", self.held_out)
        require_count("max_prompt_tokens", self.max_prompt_tokens)
        require_finite("correct_from", self.correct_from)
        require("{prompt}" in self.template, "template", "contain {prompt}", self.template)
        for name in ("train_split", "prompt", "answer_marker"):
            require(bool(getattr(self, name)), name, "not be empty", getattr(self, name))
        usable = self.chat_template or not self.system
        require(usable, "system", "be empty without a chat template", self.system, "Put it into `template`.")
        if self.answer_from not in ANSWER_FROM:
            raise unknown_name("`answer_from`", self.answer_from, ANSWER_FROM)
        if self.reward in REWARDS:
            remedy = f"The reward {self.reward!r} compares with it."
            require(bool(self.answer), "answer", "name a column", self.answer, remedy)
        elif "." not in self.reward.strip("."):
            raise unknown_name("`reward`", self.reward, (*REWARDS, "package.module.function"))


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """How a run is evaluated: by sampling at temperature 1 on problems it never trains on.

    Args:
        every: optimizer steps between evaluations on validation problems; 0 for none in between.
        validation: number of validation problems; 0 for none.
        test: number of test problems, used before the first step and after the last; 0 for none.
        samples: responses per problem; the largest k of pass@k.
        batch: responses sampled at a time; lower it if memory is short.
        tokens: problems per split of which one more response is kept token by token, for the report; 0 for none.
    """

    every: int = 90
    validation: int = 128
    test: int = 192
    samples: int = 16
    batch: int = 1024
    tokens: int = 6

    def __post_init__(self) -> None:
        for name in ("every", "validation", "test", "tokens"):
            require_count(name, getattr(self, name))
        for name in ("samples", "batch"):
            require_count(name, getattr(self, name), least=1)

    @property
    def ks(self) -> tuple[int, ...]:
        """The k of pass@k that these samples allow."""
        return tuple(k for k in (1, 4, 8, 16, 32, 64) if k <= self.samples)


SCHEDULES: Final = ("constant", "linear", "cosine")
"""Shapes of the learning rate after its warm-up."""


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """How a run trains. The defaults suit the embedded model; every field goes to TRL's `GRPOConfig`.

    Args:
        prompts: prompts per rollout batch.
        generations: responses per prompt (the group size).
        minibatches: parts a rollout batch is divided into; each makes one optimizer step.
        iterations: passes over a rollout batch (PPO's epochs).
        micro_batch: responses in one forward and backward pass; gradients accumulate. 0 for a whole minibatch.
        learning_rate: AdamW's peak learning rate.
        schedule: the learning rate after the warm-up: `constant`, or `linear` or `cosine` down to zero.
        warmup: fraction of the steps in which the learning rate rises from zero.
        adam_beta2: AdamW's second-moment decay.
        weight_decay: AdamW's.
        max_grad_norm: gradients are clipped to this norm; 0 for no limit.
        max_completion_length: longest response, in tokens.
        temperature: sampling temperature of the rollouts.
        clip_low: how far a ratio may fall below 1.
        clip_high: how far it may rise above 1.
        loss_type: TRL's name for the normalisation of the policy loss.
        scale_rewards: divide advantages by the deviation of the `group`, of the `batch`, or by nothing (`none`).
        mask_truncated: leave truncated responses out of the loss.
        beta: coefficient of TRL's divergence to the reference model; 0 keeps no reference model.
        dtype: of the weights and of the optimizer's state.
        precision: of the computation: `bf16` (autocast), `fp32`, or `auto` for bf16 on a GPU and fp32 without one.
        gradient_checkpointing: recompute activations in the backward pass instead of keeping them.
        vllm: empty to sample rollouts with transformers; `colocate` for vLLM on this GPU, `server` for a vLLM server.
        vllm_memory: fraction of the GPU's memory for a colocated vLLM.
        vllm_server: address of the server, `http://HOST:PORT`.
        save_every: optimizer steps between checkpoints; rounded up to whole rollout batches.
    """

    prompts: int = 32
    generations: int = 8
    minibatches: int = 2
    iterations: int = 1
    micro_batch: int = 0
    learning_rate: float = 5e-4
    schedule: str = "constant"
    warmup: float = 0.0
    adam_beta2: float = 0.98
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_completion_length: int = 12
    temperature: float = 1.0
    clip_low: float = 0.2
    clip_high: float = 0.2
    loss_type: str = "dapo"
    scale_rewards: str = "group"
    mask_truncated: bool = False
    beta: float = 0.0
    dtype: str = "float32"
    precision: str = "auto"
    gradient_checkpointing: bool = False
    vllm: str = ""
    vllm_memory: float = 0.3
    vllm_server: str = ""
    save_every: int = 60

    def __post_init__(self) -> None:
        for name in ("prompts", "minibatches", "iterations", "max_completion_length", "save_every"):
            require_count(name, getattr(self, name), least=1)
        require_count("generations", self.generations, least=2, remedy="A group of one has no advantage.")
        responses = self.prompts * self.generations
        rule = f"divide the {responses} responses of a batch"
        require(responses % self.minibatches == 0, "minibatches", rule, self.minibatches)
        micro = require_count("micro_batch", self.micro_batch)
        rule = f"divide the {self.minibatch} responses of a minibatch"
        require(not micro or self.minibatch % micro == 0, "micro_batch", rule, micro)
        for name in ("learning_rate", "temperature"):
            require(require_finite(name, getattr(self, name)) > 0, name, "be positive", getattr(self, name))
        for name in ("beta", "weight_decay", "max_grad_norm"):
            require(require_finite(name, getattr(self, name)) >= 0, name, "be at least 0", getattr(self, name))
        choices = {
            "schedule": SCHEDULES,
            "scale_rewards": ("group", "batch", "none"),
            "dtype": ("float32", "bfloat16"),
            "precision": ("auto", "bf16", "fp32"),
            "vllm": ("", "colocate", "server"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown_name(f"`{name}`", getattr(self, name), filter(None, known))
        memory = require_finite("vllm_memory", self.vllm_memory)
        require(0 < memory < 1, "vllm_memory", "lie between 0 and 1", memory)
        served = bool(self.vllm_server)
        rule = 'be given with vllm = "server", and only with it'
        require(served == (self.vllm == "server"), "vllm_server", rule, self.vllm_server)
        for name in ("clip_low", "clip_high", "adam_beta2", "warmup"):
            require(0 <= require_finite(name, getattr(self, name)) < 1, name, "lie in [0, 1)", getattr(self, name))

    @property
    def minibatch(self) -> int:
        """Responses behind one optimizer step."""
        return self.prompts * self.generations // self.minibatches

    @property
    def accumulation(self) -> int:
        """Forward and backward passes per optimizer step.

        Example:
            >>> TrainJob(prompts=16, generations=8, minibatches=2, micro_batch=4).accumulation
            16
        """
        return self.minibatch // (self.micro_batch or self.minibatch)

    @property
    def updates(self) -> int:
        """Optimizer steps per rollout batch.

        Example:
            >>> TrainJob(minibatches=4, iterations=2).updates
            8
        """
        return self.minibatches * self.iterations


RESERVED = set('/\\:*?"<>| ')
"""Characters not allowed in a label, which names a directory."""


@dataclass(frozen=True, kw_only=True)
class RecipeJob:
    """One line of the comparison.

    Args:
        name: a registered recipe.
        label: name of this line in the job and on disk; the recipe's name if empty. Labels have to differ.
        parameters: passed to the recipe.
        plus: recipes combined with it, each a table of `name` and, optionally, `parameters`.
        train: fields of `[train]` that differ for this line.
    """

    name: str
    label: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    plus: tuple[Mapping[str, Any], ...] = ()
    train: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        object.__setattr__(self, "plus", tuple(self.plus))
        for part in self.plus:
            if not isinstance(part, Mapping) or "name" not in part or part.keys() - {"name", "parameters"}:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(sentence("plus", "hold tables of `name` and `parameters`", part))
        object.__setattr__(self, "label", self.label or self.recipe)
        bad = not self.label.strip(".") or bool(RESERVED & set(self.label)) or not self.label.isprintable()
        require(not bad, "label", "be a plain word that can name a directory", self.label)

    @property
    def recipe(self) -> str:
        """Name of the recipe, or of the combination."""
        return "+".join([self.name, *(part["name"] for part in self.plus)])

    def build(self) -> Recipe:
        """Return the recipe; raises for an unknown name or a parameter it refuses."""
        try:
            recipe = build(self.name, dict(self.parameters))
            for part in self.plus:
                recipe = recipe.plus(build(part["name"], dict(part.get("parameters", {}))))
            return recipe
        except (ValueError, TypeError) as error:
            raise type(error)(f"recipe {self.label!r}: {error}") from None


TRACKERS = ("tensorboard", "trackio", "wandb")
"""Trackers that a job can log to, through the host's integrations."""


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
    """One or more runs, and everything about them.

    Args:
        steps: optimizer steps of each run.
        seeds: every recipe runs once per seed; the same seed means the same prompts in the same order.
        model: directory or hub id of a causal language model; empty for the embedded warm start.
        data: the training data; empty for the embedded countdown.
        recipes: the lines of the comparison.
        train: how a run trains.
        evaluation: how a run is evaluated.
        workers: number of runs at a time, one thread each.
        report_to: trackers to log to as well: `tensorboard`, `wandb`, `trackio`.
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
        return dataclasses.replace(self, recipes=tuple(map(self._line, chosen)))

    def _line(self, text: str) -> RecipeJob:
        """Return the line for a label or a recipe's name, or for several names joined by `+`."""
        here = {recipe.label: recipe for recipe in self.recipes}
        if text in here:
            return here[text]
        first, *rest = text.split("+")
        first = find_name("recipe", first, dict.fromkeys([*here, *names()]))
        line = here.get(first) or self._registered(first)
        if not rest:
            return line
        others = [self._registered(find_name("recipe", name, names())) for name in rest]
        plus = [{"name": other.name, "parameters": dict(other.parameters)} for other in others]
        train = {name: value for one in (line, *others) for name, value in one.train.items()}
        label = "+".join([first, *(other.name for other in others)])
        return dataclasses.replace(line, label=label, plus=(*line.plus, *plus), train=train)

    def _registered(self, name: str) -> RecipeJob:
        """Return a recipe's line with settings for the embedded model; for any other model the user has to choose."""
        given: Mapping[str, Any] = {} if self.model else embedded(name)
        return RecipeJob(name=name, **given)

    def line(self, recipe: RecipeJob) -> Job:
        """Return the job with the `[train]` of one of its lines.

        Example:
            >>> Job().line(RecipeJob(name="none", train={"beta": 0.01})).train.beta
            0.01
        """
        table = {**dataclasses.asdict(self.train), **recipe.train}
        return dataclasses.replace(self, train=_section(TrainJob, table, "train"))


_SECTIONS: dict[str, Any] = {"data": DataJob, "train": TrainJob, "evaluation": EvaluationJob}


def load(path: Path) -> Job:
    """Return the job of a TOML file: the default job with what the file overrides.

    Raises:
        ValueError: not TOML, an unknown key (the nearest is suggested), or a value out of range; the file is named.
        OSError: the file cannot be read.
    """
    text = read_text(path)
    try:
        return from_table(tomllib.loads(text))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def from_table(table: dict[str, Any]) -> Job:
    """Return the job of a parsed table.

    Example:
        >>> from_table({"steps": 4, "train": {"prompts": 2}}).train.prompts
        2
    """
    values: dict[str, Any] = dict(table)
    _check_keys(Job, values, "")
    for name, cls in _SECTIONS.items():
        if name in values:
            values[name] = _section(cls, values[name], name)
    if "recipes" in values:
        entries = values["recipes"]
        if not isinstance(entries, list):
            raise ValueError(sentence("recipes", "be an array of tables, [[recipes]]", entries))
        values["recipes"] = tuple(_recipe(entry) for entry in entries)
    if "seeds" in values:
        seeds = values["seeds"]
        values["seeds"] = tuple(seeds) if isinstance(seeds, list) else tuple(range(require_count("seeds", seeds)))
    if "report_to" in values:
        trackers = values["report_to"]
        if not isinstance(trackers, list) or not all(isinstance(name, str) for name in trackers):
            raise ValueError(sentence("report_to", "be a list of trackers", trackers))
        values["report_to"] = tuple(trackers)
    return Job(**values)


def to_table(job: Job) -> dict[str, Any]:
    """Return the job as a table that `from_table` reads back.

    Example:
        >>> from_table(to_table(Job())) == Job()
        True
    """
    table = dataclasses.asdict(job)
    return {**table, "seeds": list(job.seeds), "recipes": list(table["recipes"]), "report_to": list(job.report_to)}


def _recipe(entry: Any) -> RecipeJob:
    if isinstance(entry, dict) and "name" not in entry:
        raise ValueError("each [[recipes]] entry needs a `name`.")
    return _section(RecipeJob, entry, "recipes")


_KINDS: dict[str, tuple[type, str]] = {"str": (str, "be a text"), "bool": (bool, "be true or false")}


def _section(cls: Any, table: Any, name: str) -> Any:
    """Return the dataclass of a table; `name` is its name in the file."""
    if not isinstance(table, dict):
        raise ValueError(sentence(name, "be a table", table))
    _check_keys(cls, table, f"[{name}] ")
    return cls(**table)


def _check_keys(cls: Any, values: dict[str, Any], where: str) -> None:
    """Refuse unknown keys, and texts or switches of another type; the dataclasses check their numbers."""
    known = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise unknown_name(f"{where}key", key, known)
        kind, rule = _KINDS.get(known[key], (object, ""))
        if not isinstance(value, kind):
            raise TypeError(sentence(key, rule, value))
