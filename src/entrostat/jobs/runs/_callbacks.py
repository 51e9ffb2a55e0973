"""Callbacks of the trainer: records, evaluations, and an orderly stop."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback

from entrostat.jobs.runs._directory import RunDirectory
from entrostat.jobs.runs._task import Problem, Task
from entrostat.jobs.runs._tokens import TokenWriter
from entrostat.jobs.runs._trackers import TrackedWriter
from entrostat.jobs.settings import Job
from entrostat.observe.records import EvaluationRecord, RecordWriter, StepRecord
from entrostat.tasks import pass_at_k, sample

# Our field: TRL's metric. Those that TRL reports once per rollout batch hold for all optimizer steps of that batch.
STEP_METRICS = {
    "clip_low": "clip_ratio/low_mean",
    "clip_high": "clip_ratio/high_mean",
    "loss": "loss",
    "grad_norm": "grad_norm",
    **{name: f"entropy_control/{name}" for name in ("entropy", "clamped_entropy", "kept_mass", "coef", "bonus")},
    **{name: f"entropy_control/{name}" for name in ("band_low", "band_high")},
    "useless_mass": "entropy_control/watched_mass",
}
ROLLOUT_METRICS = {"reward": "reward", "length": "completions/mean_length", "silent_groups": "frac_reward_zero_std"}


@dataclass
class Stopwatch:
    """Wall time of training, with pauses for evaluation left out, across resumes."""

    before: float = 0.0
    _started: float = field(default_factory=time.perf_counter)

    def seconds(self) -> float:
        """Seconds so far."""
        return self.before + time.perf_counter() - self._started

    def skip(self, seconds: float) -> None:
        """Leave out time that was not spent training."""
        self._started += seconds


class RecordCallback(TrainerCallback):
    """Writes one `StepRecord` per optimizer step from the trainer's log."""

    def __init__(self, writer: RecordWriter, watch: Stopwatch) -> None:
        self._writer, self._watch = writer, watch
        self._rollout: dict[str, Any] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Turn one log of a training step into a record."""
        logs = logs or {}
        if "entropy_control/entropy" not in logs:
            return  # the summary transformers logs after the last step
        self._rollout |= {name: logs[key] for name, key in ROLLOUT_METRICS.items() if key in logs}
        values: dict[str, Any] = {name: logs[key] for name, key in STEP_METRICS.items() if key in logs}
        self._writer.write(
            StepRecord(step=state.global_step, seconds=round(self._watch.seconds(), 3), **values, **self._rollout)
        )


class EvaluationCallback(TrainerCallback):
    """Samples answers to held-out problems before training, every so often, and at the end."""

    def __init__(
        self,
        job: Job,
        task: Task,
        run: RunDirectory,
        writer: TrackedWriter,
        watch: Stopwatch,
        tokenizer: Any,
        tokens: TokenWriter,
    ) -> None:
        self._job, self._run, self._writer, self._watch = job, run, writer, watch
        self._task, self._tokenizer, self._tokens = task, tokenizer, tokens

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Evaluate the start model, unless this is a resume."""
        if state.global_step == 0:
            self._evaluate(model, 0, ("validation", "test"))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Evaluate the model every so often, and at the end."""
        step, every = state.global_step, self._job.evaluation.every
        if step == state.max_steps:
            self._evaluate(model, step, ("validation", "test"))
        elif every and step % every == 0:
            self._evaluate(model, step, ("validation",))

    def _evaluate(self, model: Any, step: int, splits: Sequence[str]) -> None:
        started = time.perf_counter()
        for split in splits:
            count = getattr(self._job.evaluation, split)
            if count:
                self._evaluate_split(model, step, split, self._task.split(split, count))
        self._watch.skip(time.perf_counter() - started)

    def _evaluate_split(self, model: Any, step: int, split: str, problems: Sequence[Problem]) -> None:
        samples = self._job.evaluation.samples
        drawn = self._draw(model, problems, samples, temperature=1.0)
        rewards = [self._task.score([p] * len(texts), texts) for p, texts in zip(problems, drawn, strict=True)]
        greedy = self._draw(model, problems, 1, temperature=0.0)
        hits = self._task.correct(self._task.score(problems, [texts[0] for texts in greedy]))
        correct = [self._task.correct(row) for row in rewards]
        record = EvaluationRecord(
            step=step,
            split=split,
            pass_at={str(k): pass_at_k(correct, samples=samples, k=k).mean for k in self._job.evaluation.ks},
            problems=len(problems),
            samples=samples,
            temperature=1.0,
            greedy=hits / len(problems),
        )
        self._tokens.write(
            model,
            step=step,
            split=split,
            prompts=[problem.prompt for problem in problems],
            score=lambda number, text: self._task.score([problems[number]], [text])[0],
        )
        self._keep_samples(step, split, problems, drawn, rewards)
        self._writer.write(record)

    def _keep_samples(
        self,
        step: int,
        split: str,
        problems: Sequence[Problem],
        completions: Sequence[Sequence[str]],
        rewards: Sequence[Sequence[float]],
    ) -> None:
        """Add every response of one evaluation to `samples.jsonl`, one JSON object a line."""
        lines: list[str] = []
        for number, (problem, texts, scores) in enumerate(zip(problems, completions, rewards, strict=True)):
            row = {"schema": 1, "step": step, "split": split, "problem": number}
            row |= {"prompt": problem.prompt, "target": problem.target}
            for text, score in zip(texts, scores, strict=True):
                lines.append(json.dumps({**row, "completion": text, "reward": score}) + "\n")
        with self._run.samples.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def _draw(self, model: Any, problems: Sequence[Problem], samples: int, temperature: float) -> Any:
        return sample(
            model,
            self._tokenizer,
            [problem.prompt for problem in problems],
            samples=samples,
            max_new_tokens=self._job.train.max_completion_length,
            temperature=temperature,
            seed=1234,
            batch_size=self._job.evaluation.batch,
        )


class StopCallback(TrainerCallback):
    """Ends the run at the next whole rollout batch, with a checkpoint, on a signal or when its parent has ended.

    A checkpoint between two optimizer steps of one rollout batch could not be resumed exactly: the batch is gone.
    """

    def __init__(self, updates: int) -> None:
        self._updates = updates
        self._asked = False
        self._parent = os.getppid()
        self.stopped = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop, if asked and at a boundary."""
        asked = self._asked or os.getppid() != self._parent
        if asked and state.global_step % self._updates == 0 and state.global_step < state.max_steps:
            self.stopped = True
            control.should_save = control.should_training_stop = True
