"""Makes run directories with known stories: what a report says about them can be told in advance."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from entrostat.records import EvaluationRecord, RecordWriter, StepRecord, rewrite

START = {"1": 0.25, "8": 0.70, "16": 0.80}


def flat(step: int) -> float:
    return 0.4


def collapsing(step: int) -> float:
    """From 0.4 nats, under half of it from step 36 on."""
    return max(0.4 - 0.2 * step / 36, 0.1) if step <= 36 else 0.1


def exploding(step: int) -> float:
    """From 0.4 nats to 2 in one step, step 30."""
    return 0.4 if step < 30 else 2.0


def write_run(
    out: Path,
    label: str,
    *,
    seed: int = 0,
    recipe: str | None = None,
    steps: int = 60,
    planned: int | None = None,
    status: str = "done",
    entropy: Callable[[int], float] = flat,
    end: dict[str, float] | None = None,
    samples: Sequence[dict[str, Any]] = (),
    described: dict[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """Write one run; `fields` are values of every step record, or functions of the step."""
    path = out / "runs" / f"{label}-seed{seed}"
    path.mkdir(parents=True)
    run = {
        "schema": 1,
        "label": label,
        "recipe": recipe or label,
        "parameters": {},
        "seed": seed,
        "steps": planned or steps,
        "status": status,
        "wall_seconds": 75.0,
        "process_seconds": 80.0,
        "versions": {"entrostat": "0.1.0"},
        "task": "countdown",
        "model": "embedded warm start",
        "description": "A recipe of a test.",
    }
    (path / "run.json").write_text(json.dumps({**run, **(described or {})}), encoding="utf-8")
    lines: list[Any] = [_evaluation(0, START)] if steps else []
    lines += [_step(step, entropy(step), fields) for step in range(1, steps + 1)]
    if end is not None:
        lines.append(_evaluation(steps, end))
    rewrite(path / "records.jsonl", lines)
    write_samples(path, samples)
    return path


def _evaluation(step: int, pass_at: dict[str, float], split: str = "test") -> EvaluationRecord:
    return EvaluationRecord(step=step, split=split, pass_at=pass_at, problems=192, samples=16, temperature=1.0)


def _step(step: int, entropy: float, fields: dict[str, Any]) -> StepRecord:
    values = {name: value(step) if callable(value) else value for name, value in fields.items()}
    base = {"step": step, "entropy": entropy, "clamped_entropy": entropy, "kept_mass": 1.0, "coef": 0.0, "bonus": 0.0}
    return StepRecord(**{**base, **values})


def write_samples(path: Path, samples: Sequence[dict[str, Any]]) -> None:
    base = {"schema": 1, "step": 60, "split": "test", "problem": 1, "prompt": "4 7 9 > 20 :", "target": 20}
    lines = [json.dumps({**base, **sample}) + "\n" for sample in samples]
    (path / "samples.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes runs below `tmp_path`."""
    return lambda label, **settings: write_run(tmp_path, label, **settings)


def write_realistic(out: Path, *, seeds: int = 3, steps: int = 360) -> None:
    """Write four recipes whose curves look like the default job's, noise and all."""
    for seed in range(seeds):
        for label in ("none", "entropy_bonus", "aent", "aent-tight"):
            _realistic(out, label, seed, steps)


def _realistic(out: Path, label: str, seed: int, steps: int) -> None:
    dice = random.Random(f"{label}{seed}")
    band = label.startswith("aent")
    tight = label == "aent-tight"
    entropy, coef, lines = 0.35, 0.04 if label != "none" else 0.0, []
    ends = {"none": (0.463, 0.559, 0.578), "entropy_bonus": (0.381, 0.518, 0.552)}
    last = ends.get(label, (0.475, 0.632, 0.67) if tight else (0.427, 0.604, 0.642))
    for step in range(1, steps + 1):
        done = step / steps
        if label == "none":
            entropy = 0.09 + 0.26 * math.exp(-3.2 * done)
        elif label == "entropy_bonus":
            entropy = 0.3 + (2.6 / (1 + math.exp(-14 * (done - 0.35 - 0.12 * seed))) if seed < 2 else 0.03)
        else:
            goal = 0.3 + 0.05 * math.sin(9 * done + seed) if not (tight and done > 0.7) else 0.14
            entropy += 0.05 * (goal - entropy)
        noisy = entropy * math.exp(dice.gauss(0, 0.06))
        useless = {"none": 0.003, "entropy_bonus": 0.002 + 0.12 * max(0.0, entropy - 0.35), "aent": 0.018}.get(label, 0.003)
        useless *= math.exp(dice.gauss(0, 0.35))
        kept = {"aent": 0.996, "aent-tight": 0.985}.get(label, 1.0)
        clamped = noisy * {"aent": 0.985, "aent-tight": 0.91}.get(label, 1.0)
        if band:
            coef = min(0.2, max(0.0, coef - 0.03 * (min(0.0, clamped - 0.25) + max(0.0, clamped - 0.35))))
        force = coef * max(0.0, min(1.0, (1 - done) / 0.3)) if tight else coef
        if step == 1 or step % 90 == 0:
            at = 0 if step == 1 else step
            lines.append((at, done if at else 0.0))
        record = StepRecord(
            step=step, entropy=noisy, clamped_entropy=clamped, kept_mass=kept, coef=force, bonus=-force * clamped,
            useless_mass=min(0.9, useless), reward=0.27 + (last[0] - 0.24) * (1 - math.exp(-4 * done)) + dice.gauss(0, 0.03),
            length=11 + entropy + dice.gauss(0, 0.2), clip_low=abs(dice.gauss(0.004, 0.002)),
            clip_high=abs(dice.gauss(0.006, 0.003)), silent_groups=min(1.0, max(0.0, 0.3 + 0.45 * (0.35 - min(entropy, 0.35)) / 0.25 + dice.gauss(0, 0.06))),
            loss=dice.gauss(0, 0.02), grad_norm=1.0, band_low=0.25 if band else None, band_high=0.35 if band else None, seconds=0.5 * step,
        )  # fmt: skip
        lines.append(record)
    path = out / "runs" / f"{label}-seed{seed}"
    path.mkdir(parents=True)
    writer_lines = []
    for line in lines:
        if isinstance(line, StepRecord):
            writer_lines.append(line)
            continue
        at, done = line
        for split in ("validation", "test") if at in (0, steps) else ("validation",):
            scores = [
                a + (b - a) * (1 - math.exp(-3 * done)) / (1 - math.exp(-3)) + (dice.gauss(0, 0.015) if at else 0)
                for a, b in zip((0.258, 0.718, 0.813), last, strict=True)
            ]
            writer_lines.append(_evaluation(at, dict(zip(("1", "8", "16"), scores, strict=True)), split))
    rewrite(path / "records.jsonl", writer_lines)
    parameters = {
        "none": {},
        "entropy_bonus": {"coef": 0.04},
        "aent": {"clamp": 0.33, "controller": {"low": 0.25, "high": 0.35, "rate": 0.03, "floor": 0.0, "ceiling": 0.2, "initial": 0.04, "warmup": 10}},
        "aent-tight": {"keep": 31, "last": 0.3, "controller": {"low": 0.25, "high": 0.35, "rate": 0.03, "floor": 0.0, "ceiling": 0.2, "initial": 0.04, "warmup": 10}},
    }[label]  # fmt: skip
    about = {
        "none": "Plain GRPO: no term, no control.",
        "entropy_bonus": "A fixed bonus on the entropy of the whole vocabulary.",
        "aent": "Clamped entropy at the paper's clamp, its coefficient steered into a band.",
        "aent-tight": "Clamped entropy of the 31 likeliest tokens, steered into a band; let go over the last 30 %.",
    }[label]
    run = {
        "schema": 1, "label": label, "recipe": label.split("-")[0], "parameters": parameters, "seed": seed, "steps": steps,
        "status": "done", "wall_seconds": 170 + dice.random() * 20, "process_seconds": 160 + dice.random() * 20,
        "versions": {"entrostat": "0.1.0.dev0", "torch": "2.13.0", "trl": "1.16.0", "transformers": "5.23.0", "python": "3.11.7"},
        "task": "countdown", "model": "embedded warm start", "description": about,
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    texts = [("4 7 9 > 20 :", "9 + 4 = 13 ; 7 + 13 = 20", 1.0), ("3 8 2 > 14 :", "8 - 2 = 6 ; 6 + 3 = 9", 0.0),
             ("1 5 10 > 50 :", "5 - 1 = 4 ; 4 * 10 = 40", 0.0), ("2 6 6 > 18 :", "6 + 6 = 12 ; 12 + 2 = 14", 0.0),
             ("10 3 3 > 10 :", "3 / 3 = 1 ; 10 * 1 = 10", 1.0)]  # fmt: skip
    write_samples(path, [{"step": steps, "problem": i, "prompt": p, "completion": c, "reward": r} for i, (p, c, r) in enumerate(texts)])  # fmt: skip
    assert RecordWriter  # the writer a run uses reads these files too
