"""The responses drawn in evaluations, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from entrostat.jobs.runs.task import Problem
from entrostat.observe.files import replace_text

SCHEMA = 1


def append(
    path: Path,
    *,
    step: int,
    split: str,
    problems: Sequence[Problem],
    completions: Sequence[Sequence[str]],
    rewards: Sequence[Sequence[float]],
) -> None:
    """Add every response of one evaluation."""
    lines: list[str] = []
    for number, (problem, texts, scores) in enumerate(zip(problems, completions, rewards, strict=True)):
        for text, score in zip(texts, scores, strict=True):
            row = {
                "schema": SCHEMA,
                "step": step,
                "split": split,
                "problem": number,
                "prompt": problem.prompt,
                "target": problem.target,
                "completion": text,
                "reward": score,
            }
            lines.append(json.dumps(row))
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def rewind(path: Path, step: int) -> None:
    """Drop what was drawn after `step`, and a last line that a kill cut short."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if json.loads(line)["step"] <= step]
    replace_text(path, "".join(line + "\n" for line in kept))
