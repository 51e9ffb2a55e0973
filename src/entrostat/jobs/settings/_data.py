"""What a run trains on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from entrostat.errors import require, require_count, require_finite, sentence, unknown_name

ANSWER_FROM: Final = ("whole", "boxed", "marker")
"""Where in a text the answer stands."""

REWARDS: Final = ("math", "exact")
"""The rewards with a name; every other one has a dotted path."""


@dataclass(frozen=True, kw_only=True)
class DataJob:
    r"""A dataset and what is rewarded. Empty, as it is by default, it is the embedded countdown.

    A split that the data lacks is cut off `train`: a fixed choice of rows, the same in every run. The validation split
    is looked for under `validation`, the test split under `test`, unless they are named here.

    Args:
        source: a `.jsonl`, `.json`, `.csv` or `.parquet` file, a directory, or a hub id.
        subset: the hub's name of one of its configurations, such as `main`.
        revision: the hub's commit or tag; empty for the newest.
        train_split: what is trained on; a file is all `train`.
        validation_split: what the evaluations on the way use.
        test_split: what the first and the last evaluation use.
        held_out: rows cut off `train` for each split that is lacking, at most a tenth of it each.
        prompt: column of the question; a text, or a list of messages.
        answer: column of the reference answer; empty where a reward of your own needs none.
        answer_from: where in that column the answer stands: it is the `whole` text, the last `boxed` part of it, or
            what follows the last `marker`.
        answer_marker: the marker.
        template: what the model reads; `{prompt}` stands for the question.
        system: the system message; needs the chat template.
        chat_template: show the question through the model's chat template.
        max_prompt_tokens: rows with a longer prompt are left out; 0 to keep them all.
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
            self._refuse_orphans()
        require_count("held_out", self.held_out)
        require_count("max_prompt_tokens", self.max_prompt_tokens)
        require_finite("correct_from", self.correct_from)
        require("{prompt}" in self.template, "template", "contain {prompt}", self.template)
        for name in ("train_split", "prompt", "answer_marker"):
            require(bool(getattr(self, name)), name, "not be empty", getattr(self, name))
        remedy = "Put it into `template`."
        require(
            self.chat_template or not self.system, "system", "be empty without a chat template", self.system, remedy
        )
        if self.answer_from not in ANSWER_FROM:
            raise unknown_name("`answer_from`", self.answer_from, ANSWER_FROM)
        self._check_reward()

    def _refuse_orphans(self) -> None:
        given = [field.name for field in dataclasses.fields(self) if getattr(self, field.name) != field.default]
        if given:
            raise ValueError(sentence("source", "be given where [data] sets " + ", ".join(given), self.source))

    def _check_reward(self) -> None:
        if self.reward in REWARDS:
            remedy = f"The reward {self.reward!r} compares with it."
            require(bool(self.answer), "answer", "name a column", self.answer, remedy)
        elif "." not in self.reward.strip("."):
            raise unknown_name("`reward`", self.reward, (*REWARDS, "package.module.function"))
