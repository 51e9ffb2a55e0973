"""Write the shipped countdown problems again: ``python -m entrostat.tasks.make_countdown --out FILE``.

The problems are reasoning-gym's (``pip install "entrostat[gym]"``), so that a result on them can be compared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entrostat.tasks.countdown import Problem, score_expression

# Item `i` of reasoning-gym is drawn by Random(seed + i): two datasets whose seeds differ by less than their sizes share
# items, hence seeds a million apart. Test is drawn first, then validation without test's problems, then train without
# either's; two problems with the same numbers in another order are the same problem.
# split -> (seed, number of problems), in the order of drawing
_SPLITS: Final = {"test": (1_000_000, 192), "validation": (2_000_000, 128), "train": (3_000_000, 2048)}
_DRAWS: Final = 20_000  # far more than any split needs, far less than the distance between seeds


def make() -> str:
    """Draw all splits and return them as JSON lines.

    Raises:
        ImportError: If reasoning-gym is not installed.
    """
    taken: set[tuple[tuple[int, ...], int]] = set()
    lines: list[str] = []
    for split, (seed, count) in _SPLITS.items():
        problems = _first_new(_draw(seed), count, taken, by_key=split != "train")
        taken |= {problem.key for problem in problems}
        rows = [{"split": split, "numbers": problem.numbers, "target": problem.target} for problem in problems]
        lines += [json.dumps(row, separators=(",", ":")) for row in rows]
    return "\n".join(lines) + "\n"


def _draw(seed: int) -> Iterator[Problem]:
    """Yield reasoning-gym's problems, skipping any whose own solution our scorer does not confirm."""
    try:
        import reasoning_gym
    except ImportError as error:
        raise ImportError('the problems need reasoning-gym: pip install "entrostat[gym]".') from error
    dataset = reasoning_gym.create_dataset(
        "countdown",
        seed=seed,
        size=_DRAWS,
        min_numbers=3,
        max_numbers=3,
        min_value=1,
        max_value=10,
        min_target=1,
        max_target=50,
    )
    for index in range(_DRAWS):
        item = dataset[index]
        problem = Problem(tuple(item["metadata"]["numbers"]), item["metadata"]["target"])
        if score_expression(problem, item["answer"]) == 1.0:
            yield problem


def _first_new(
    draws: Iterator[Problem], count: int, taken: set[tuple[tuple[int, ...], int]], *, by_key: bool
) -> list[Problem]:
    """Return the first `count` problems not in `taken`, each problem (`by_key`) or each prompt once."""
    chosen: dict[object, Problem] = {}
    while len(chosen) < count:
        problem = next(draws)
        if problem.key not in taken:
            chosen.setdefault(problem.key if by_key else problem, problem)
    return list(chosen.values())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Write the countdown problems as JSON lines.")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    arguments = parser.parse_args()
    arguments.out.write_text(make(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
