"""Reads the answers a run kept token by token, and chooses those a page has room for."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = 1
BUDGET = 12_000
"""Tokens of all runs together on one page: about a megabyte."""
LONGEST = 160
"""Tokens shown of one answer."""
_TOP = 8
"""Alternatives shown of one token, however many a file holds."""
_SHAPES = ((6, 6), (5, 6), (4, 6), (4, 4), (3, 4), (3, 3), (2, 3), (2, 2), (2, 1))
"""Steps and problems per run, the most first."""
_COLUMNS = ("entropy", "clamped_entropy", "chosen", "kept_mass")


class Alternative(NamedTuple):
    """One likely token of a place: there are too many of them for a class that is slow to make."""

    text: str
    chance: float
    kept: bool
    """Whether the recipe's measure keeps it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """One token a model drew, and what it might have drawn."""

    text: str
    entropy: float
    clamped_entropy: float
    chance: float
    kept: bool
    kept_mass: float
    top: tuple[Alternative, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer at one evaluation."""

    step: int
    split: str
    problem: int
    prompt: str
    reward: float
    tokens: tuple[Token, ...]
    cut: int
    """Tokens left out at its end."""


def answers(path: Path) -> list[Answer]:
    """Return what a `tokens.jsonl` holds; nothing if there is no such file.

    Raises:
        ValueError: a line is no answer; the message names the file and the line.
    """
    if not path.exists():
        return []
    found: list[Answer] = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                break  # the line a kill cut short
            try:
                found.append(_answer(json.loads(line)))
            except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError):
                raise ValueError(
                    f"{path}, line {number}: not an answer token by token. Remove the line, or the file to do without."
                ) from None
    return found


def _answer(fields: dict[str, Any]) -> Answer:
    if fields["schema"] != SCHEMA:
        raise ValueError(fields["schema"])
    columns = (fields[name] for name in ("tokens", "chosen_kept", "top", *_COLUMNS))
    tokens = tuple(_token(*row) for row in zip(*columns, strict=True))
    return Answer(
        step=int(fields["step"]),
        split=str(fields["split"]),
        problem=int(fields["problem"]),
        prompt=str(fields["prompt"]),
        reward=_number(fields["reward"]),
        tokens=tokens,
        cut=int(fields["cut"]),
    )


def _token(text: str, kept: bool, top: list[Any], *figures: float) -> Token:
    entropy, clamped = map(_number, figures[:2])
    chance, mass = map(_chance, figures[2:])
    alternatives = tuple(Alternative(str(word), _chance(share), bool(keeps)) for word, share, keeps in top[:_TOP])
    return Token(
        text=str(text), entropy=entropy, clamped_entropy=clamped, chance=chance, kept=bool(kept), kept_mass=mass,
        top=alternatives,
    )  # fmt: skip


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _chance(value: Any) -> float:
    if not 0 <= value <= 1.001:  # a rounding above 1 is no damage; what is not finite is never between
        raise ValueError(value)
    return value


def chosen_answers(found: Sequence[Answer], allowed: int) -> list[Answer]:
    """Return the answers a run may show within so many tokens: those of the split evaluated most often.

    The first and the last step stay, then steps evenly between; long answers are cut.
    """
    steps_of = Counter(split for split, _ in {(one.split, one.step) for one in found})
    if not steps_of:
        return []
    split = max(steps_of, key=lambda name: (steps_of[name], name == "test", name))
    here = [_cut(one, LONGEST) for one in found if one.split == split]
    for steps, problems in _SHAPES:
        some = _some(here, steps, problems)
        if sum(len(one.tokens) for one in some) <= allowed:
            return some
    return [_cut(one, max(8, allowed // 2)) for one in _some(here, *_SHAPES[-1])]


def _some(here: list[Answer], steps: int, problems: int) -> list[Answer]:
    known = sorted({one.step for one in here})
    count = min(steps, len(known))
    taken = {known[round(i * (len(known) - 1) / max(1, count - 1))] for i in range(count)}
    numbers = set(sorted({one.problem for one in here})[:problems])
    return [one for one in here if one.step in taken and one.problem in numbers]


def _cut(one: Answer, most: int) -> Answer:
    over = max(0, len(one.tokens) - most)
    return dataclasses.replace(one, tokens=one.tokens[:most], cut=one.cut + over)
