"""Three lines for people with their own loop: the entropy of their logits, written as our records."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite, sentence, unknown_name
from entrostat.losses import Tally
from entrostat.observe import records
from entrostat.observe.analysis.curves import of_records
from entrostat.observe.analysis.findings import Alarm, alarms
from entrostat.observe.files import RUN_SCHEMA, replace_text, run_description
from entrostat.observe.records import RecordWriter, StepRecord
from entrostat.ops import token_stats

_MADE_BY = "entrostat.monitor"
_MEANS = ("entropy", "clamped_entropy", "kept_mass", "surprisal")
_GIVEN = ("reward", "length", "coef", "bonus", "loss", "grad_norm", "clip_low", "clip_high", "silent_groups")
_IGNORED = -100


@dataclasses.dataclass(frozen=True)
class StepMeans:
    """Means over all tokens of a step, on all ranks, and the alarms of the run so far."""

    step: int
    entropy: float
    """Entropy of the full next-token distribution, nats."""
    clamped_entropy: float
    """Entropy of the kept tokens, renormalised, nats."""
    kept_mass: float
    """Probability of the kept tokens."""
    surprisal: float
    """Minus the log-probability of the targets, nats. For tokens just sampled at this temperature it equals the entropy
    up to sampling noise; far above it, logits and targets are not aligned or the temperature differs."""
    alarms: list[Alarm]
    """Findings in the run so far; updated at every step, in long runs every half percent of their length."""


class Monitor:
    """Watches a training loop from its logits. Made by `entrostat.monitor`."""

    def __init__(self, directory: Path, described: dict[str, Any], settings: dict[str, Any]) -> None:
        self._directory, self._settings = directory, settings
        self._described = described
        writes = not _distributed() or torch.distributed.get_rank() == 0
        self._records = _open(directory, described) if writes else []
        self._writer = RecordWriter(directory / "records.jsonl") if writes else None
        last = self._records[-1] if self._records else None
        self._last = last.step if last else 0
        self._started = time.perf_counter() - ((last.seconds or 0.0) if last else 0.0)
        self._tallies = [Tally.zero() for _ in _MEANS]
        self._alarms: list[Alarm] = []

    @torch.no_grad()
    def observe(self, logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> None:
        """Add one micro-batch to the open step, without a gradient.

        Args:
            logits: `[B, T, V]` or `[N, V]`: row t is the distribution that token t was drawn from.
            targets: `[B, T]` or `[N]`: the tokens, at the same places (shift first, if your model's are not).
            mask: the same shape, nonzero where a token counts; without it every target but -100 does.

        Raises:
            ValueError: the shapes do not fit.
            TypeError: `logits` not floating, `targets` not integer.
        """
        if mask is not None:
            same = mask.shape == targets.shape
            require(same, "mask", f"have the shape {tuple(targets.shape)} of `targets`", tuple(mask.shape))
        chosen = targets != _IGNORED if mask is None else mask.bool() & (targets != _IGNORED)
        # A masked place may hold anything, even an index that is not a token.
        stats = token_stats(logits.detach(), targets.masked_fill(~chosen, _IGNORED), **self._settings)
        values = (stats.entropy, stats.clamped_entropy, stats.kept_mass, -stats.logprobs)
        self._tallies = [total + Tally.of(value, chosen) for total, value in zip(self._tallies, values, strict=True)]

    def step(self, *, step: int | None = None, **measured: float | None) -> StepMeans:
        """End an optimizer step: write its record, and return the means over its tokens.

        Under `torch.distributed` every rank must call it: sums and counts are added up, and rank 0 writes.

        Args:
            step: its number; one more than the last without it. A number already written replaces that record and all
                later ones, for a loop that went back to a checkpoint.
            measured: other quantities of the step: `reward`, `length`, `coef` and `bonus` (0 without), `loss`,
                `grad_norm`, `clip_low`, `clip_high`, `silent_groups`.

        Returns:
            Means over all tokens observed since the last step on all ranks, and the alarms of the run so far.

        Raises:
            ValueError: no token was observed, or a quantity of another name was given.
        """
        for name in measured:
            if name not in _GIVEN:
                raise unknown_name("quantity", name, _GIVEN)
        given = {name: require_finite(name, float(value)) for name, value in measured.items() if value is not None}
        number = self._last + 1 if step is None else require_count("step", step, least=1)
        means = self._close()
        if number <= self._last:
            self._records = [record for record in self._records if record.step < number]
            if self._writer is not None:
                self._writer.rewind(number - 1)
        # The surprisal is not recorded: a target that the policy gives no probability makes it infinite.
        taken = {name: means[name] for name in _MEANS[:3]}
        seconds = round(time.perf_counter() - self._started, 3)
        values: dict[str, Any] = {"coef": 0.0, "bonus": 0.0, **given, **taken}
        record = StepRecord(step=number, seconds=seconds, **values)
        if self._writer is not None:
            self._writer.write(record)
        self._records.append(record)
        self._last = number
        # Looking for alarms reads the whole run; at every step of a long run, the cost would grow with its square.
        if len(self._records) % max(1, len(self._records) // 200) == 0:
            self._alarms = alarms(of_records(self._records, name=str(self._described["label"]), recipe="none"))
        return StepMeans(number, **means, alarms=list(self._alarms))

    def _close(self) -> dict[str, float]:
        sums = torch.stack([tally.sums.cpu() for tally in self._tallies])
        if _distributed():
            # NCCL moves tensors on its device only; every other backend takes them from the CPU.
            shared = sums.cuda() if torch.distributed.get_backend() == "nccl" else sums
            torch.distributed.all_reduce(shared)
            sums = shared.cpu()
        self._tallies = [Tally.zero() for _ in _MEANS]
        filled = [mean for part in sums if (mean := Tally(part).mean) is not None]
        if len(filled) < len(_MEANS):
            raise ValueError("no token was observed in this step: call `observe` with an unmasked token before `step`.")
        return dict(zip(_MEANS, filled, strict=True))

    def close(self) -> None:
        """Mark the run as done; a report then takes its last values as final."""
        if self._writer is not None:
            seconds = round(time.perf_counter() - self._started, 2)
            ended = {**self._described, "status": "done", "steps": self._last, "wall_seconds": seconds}
            replace_text(self._directory / "run.json", json.dumps(ended, indent=1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()


def monitor(
    directory: str | Path,
    *,
    clamp: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    temperature: float = 1.0,
    label: str | None = None,
    seed: int = 0,
) -> Monitor:
    """Watch your own training loop: entropy, clamped entropy, kept mass and alarms from logits you already have.

        mean = sum over tokens of all micro-batches and ranks / their number

    so the split into micro-batches changes nothing beyond float64 rounding. `entrostat report DIR` and
    `entrostat diagnose DIR` read the files written.

    Args:
        directory: where to write `run.json` and `records.jsonl`; made if missing. A run that a monitor wrote there
            before is continued.
        clamp: share of the vocabulary to drop, as AEnt does; `[0, 1)`.
        top_k: number of likeliest tokens to keep, instead.
        top_p: probability to keep, instead.
        temperature: divides the logits first: the temperature of your sampling.
        label: name of the run in a report; the directory's name without it.
        seed: seed of the run, for a report over several.

    Returns:
        A `Monitor`; also a context manager that marks the run as done at its end.

    Raises:
        ValueError: the directory holds another run or damaged records, or cannot be written; two of `clamp`, `top_k`
            and `top_p`, or one out of range.

    Reference:
        None: it measures.

    Example:
        >>> import tempfile, torch
        >>> import entrostat as es
        >>> logits, targets = torch.zeros(2, 3, 8), torch.zeros(2, 3, dtype=torch.long)
        >>> watch = es.monitor(tempfile.mkdtemp(), clamp=0.5)
        >>> watch.observe(logits, targets, torch.ones(2, 3))
        >>> seen = watch.step(reward=0.25)
        >>> round(seen.entropy, 4), round(seen.clamped_entropy, 4), seen.kept_mass, seen.alarms
        (2.0794, 1.3863, 0.5, [])
    """
    path = Path(directory)
    settings = {"clamp": clamp, "top_k": top_k, "top_p": top_p, "temperature": temperature}
    # A setting out of range is rejected here rather than in the middle of a run.
    token_stats(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), **settings)  # pyright: ignore[reportArgumentType]
    described: dict[str, Any] = {
        "schema": RUN_SCHEMA,
        "made_by": _MADE_BY,
        "label": path.resolve().name if label is None else label,
        "recipe": "none",
        "parameters": {name: value for name, value in settings.items() if value is not None},
        "seed": seed,
        "steps": 0,
        "status": "running",
        "description": "Your own loop, watched by entrostat.monitor.",
    }
    return Monitor(path, described, settings)


def _open(directory: Path, described: dict[str, Any]) -> list[StepRecord]:
    info, log = directory / "run.json", directory / "records.jsonl"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        ours = not info.exists() or _made_by(info) == _MADE_BY
        require(ours, "directory", "hold nothing, or a run that a monitor wrote", str(directory), "Choose another.")
        before = records.read(log) if log.exists() else []
        replace_text(info, json.dumps(described, indent=1))
    except OSError as error:
        remedy = f"{error.strerror}. Choose another."
        raise ValueError(sentence("directory", "be a place that can be written", str(directory), remedy)) from None
    return [record for record in before if isinstance(record, StepRecord)]


def _made_by(info: Path) -> object:
    try:
        return run_description(info).get("made_by")
    except ValueError:
        return None


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
