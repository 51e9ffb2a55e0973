"""Makes run directories with known stories, so that a test knows in advance what the report must say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from entrostat.observe.records import EvaluationRecord, Record, StepRecord, rewrite

START = {"1": 0.25, "8": 0.70, "16": 0.80}
RUN = {
    "schema": 1,
    "parameters": {},
    "status": "done",
    "wall_seconds": 75.0,
    "process_seconds": 80.0,
    "versions": {"entrostat": "0.1.0"},
    "task": "countdown",
    "model": "embedded warm start",
    "description": "A recipe of a test.",
}
SAMPLE = {"schema": 1, "split": "test", "problem": 1, "prompt": "4 7 9 > 20 :", "target": 20, "reward": 0.0}


def collapsing(step: int) -> float:
    """From 0.4 nats to 0.1, half way at step 36."""
    return max(0.1, 0.4 - 0.2 * step / 36)


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
    passes: dict[int, dict[str, float]] | None = None,
    samples: Sequence[dict[str, Any]] = (),
    described: dict[str, Any] | None = None,
    answers: Sequence[dict[str, Any]] = (),
    **fields: Any,
) -> Path:
    """Write one run below `out`.

    Args:
        out: the output directory.
        label: of the run.
        seed: of the run.
        recipe: its name; the label's if not given.
        steps: step records to write.
        passes: pass@k on the test split by step.
        samples: differences from `SAMPLE`.
        described: differences from `RUN` in run.json.
        answers: lines of tokens.jsonl, as `answer` makes them.
        fields: of the step records: values, or functions of the step.
    """
    path = out / "runs" / f"{label}-seed{seed}"
    path.mkdir(parents=True)
    run = {**RUN, "label": label, "recipe": recipe or label, "seed": seed, "steps": steps, **(described or {})}
    (path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    lines: list[Record] = [_step(step, fields) for step in range(1, steps + 1)]
    lines += [_evaluation(step, pass_at) for step, pass_at in (passes or {}).items()]
    rewrite(path / "records.jsonl", sorted(lines, key=lambda line: line.step))
    written = [json.dumps({**SAMPLE, "step": steps, **sample}) + "\n" for sample in samples]
    (path / "samples.jsonl").write_text("".join(written), encoding="utf-8")
    if answers:
        (path / "tokens.jsonl").write_text("".join(json.dumps(one) + "\n" for one in answers), encoding="utf-8")
    return path


def answer(tokens: Sequence[str], *, others: Sequence[str] = ("alternative",), **differs: Any) -> dict[str, Any]:
    """Make one line of tokens.jsonl: the last token is the least sure and dropped by the clamp, as are `others`."""
    count = len(tokens)
    last = [place == count - 1 for place in range(count)]
    return {
        "schema": 1,
        "step": 60,
        "split": "validation",
        "problem": 0,
        "prompt": "4 7 9 > 20 :",
        "reward": 1.0,
        "cut": 0,
        "tokens": list(tokens),
        "entropy": [1.0 if end else 0.01 * place for place, end in enumerate(last)],
        "clamped_entropy": [0.5 if end else 0.01 * place for place, end in enumerate(last)],
        "chosen": [0.125 if end else 0.75 for end in last],
        "chosen_kept": [not end for end in last],
        "kept_mass": [0.9] * count,
        "top": [[[token, 0.75, True], *([other, 0.0625, False] for other in others)] for token in tokens],
        **differs,
    }


def _evaluation(step: int, pass_at: dict[str, float]) -> EvaluationRecord:
    return EvaluationRecord(step=step, split="test", pass_at=pass_at, problems=192, samples=16, temperature=1.0)


def _step(step: int, fields: dict[str, Any]) -> StepRecord:
    values = {name: value(step) if callable(value) else value for name, value in fields.items()}
    values.setdefault("entropy", 0.4)
    values.setdefault("clamped_entropy", values["entropy"])
    return StepRecord(**{"step": step, "kept_mass": 1.0, "coef": 0.0, "bonus": 0.0, **values})


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes runs below `tmp_path`."""
    return lambda label, **settings: write_run(tmp_path, label, **settings)


@pytest.fixture
def four_recipes(tmp_path: Path) -> Path:
    """An output directory like the default job's: four recipes, three seeds, each with its own fate."""
    band = {"band_low": 0.25, "band_high": 0.35}
    for seed in range(3):
        tilt = 0.01 * (seed - 1)
        ends = {k: round(0.5 + 0.01 * int(k) + tilt, 3) for k in START}
        common: dict[str, Any] = {"seed": seed, "passes": {0: START, 60: ends}, "reward": 0.3 + tilt, "length": 11.0}
        write_run(tmp_path, "none", entropy=collapsing, useless_mass=0.003, **common)
        write_run(
            tmp_path,
            "entropy_bonus",
            entropy=exploding if seed < 2 else 0.4,
            useless_mass=(lambda step: 0.001 if step < 30 else 0.25) if seed < 2 else 0.001,
            coef=0.04,
            **common,
        )
        write_run(
            tmp_path,
            "aent",
            entropy=0.31,
            clamped_entropy=lambda step: 0.3 if step > 12 else 0.4,
            kept_mass=0.98,
            coef=lambda step: 0.04 + 0.001 * (step % 3),
            useless_mass=0.002,
            described={"parameters": {"clamp": 0.33, "controller": {"warmup": 10, "ceiling": 0.2}}},
            **band,
            **common,
        )
        write_run(
            tmp_path,
            "aent-tight",
            recipe="aent",
            entropy=lambda step: 0.4 if step < 45 else 0.1,
            coef=lambda step: 0.05 if step < 40 else 0.0,
            useless_mass=0.002,
            **band,
            **common,
        )
    return tmp_path
