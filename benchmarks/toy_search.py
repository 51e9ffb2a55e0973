"""Searches the settings of the toy for the ordering of the paper's figure.

    python benchmarks/toy_search.py [--draws 50] [--minutes 12] [--out benchmarks/results/toy_search.csv]

Stage 1 draws settings at random from a wide space and runs each once. Stage 2 climbs from the best: it moves one
setting at a time to a neighbouring value and stays where the ordering's weakest part gets stronger, under seeds that
stage 1 did not see. What is found is checked under further seeds and at other sizes by `entrostat lab toy_figure`.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from entrostat.lab._toy import METHODS, Toy
from entrostat.lab._toy_order import OPTIMAL, Finals, finals, margin, parts, toy_curves

WIDE: dict[str, tuple[Any, ...]] = {
    "peak": (0.0, 1.0, 2.0, 2.5, 3.0),
    "informed": (True, True, False),
    "clamp": (0.33, 0.7, 0.9, 0.95, 0.98),
    "coef": (0.005, 0.02, 0.1),
    "rate": (0.05, 0.1, 0.2),
    "samples": (0, 2, 5, 10, 20),
    "trap": (0.0, 0.0, 0.1),
}
FINE: dict[str, tuple[Any, ...]] = {
    "samples": (2, 5, 10, 20),
    "peak": (1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0),
    "rate": (0.05, 0.1, 0.15, 0.2, 0.3),
    "coef": (0.005, 0.01, 0.02, 0.05, 0.07, 0.08, 0.09, 0.1),
    "clamp": (0.9, 0.95, 0.98, 0.99),
}
BASE = Toy(actions=100_000, optimal=1, steps=400)
CLIMB_SEEDS = [1, 2, 3, 4]
SHARE_OF_STAGE_1 = 0.4
NOTHING: Finals = dict.fromkeys(itertools.product(OPTIMAL, METHODS), 0.0)


def row(stage: int, seeds: list[int], toy: Toy, found: Finals) -> dict[str, Any]:
    """Return one line of the table."""
    settings = {key: value for key, value in asdict(toy).items() if key != "optimal"}
    rewards = {f"{method}_{optimal}": round(value, 4) for (optimal, method), value in found.items()}
    head = {"stage": stage, "seeds": " ".join(map(str, seeds))}
    return {**head, **settings, **rewards, "margin": round(margin(found), 4)}


def search(draws: int, minutes: float) -> Iterator[dict[str, Any]]:
    """Yield one row per setting and stage; begin no new one when the CPU time is spent."""
    draw = random.Random(0)
    screened: list[tuple[float, Toy]] = []
    for _ in range(draws):
        toy = replace(BASE, **{name: draw.choice(values) for name, values in WIDE.items()})
        if time.process_time() > 60 * minutes * SHARE_OF_STAGE_1:
            break
        found = finals(toy_curves(toy, [0]))
        screened.append((strength(found), toy))
        yield row(1, [0], toy, found)
    yield from climb(max(screened, key=lambda pair: pair[0])[1], minutes)


def strength(found: Finals) -> float:
    """Return how many parts of the ordering are there and clearly so: tells a near miss from a toy that is too easy."""
    return sum(min(part, 0.05) for part in parts(found).values())


def climb(toy: Toy, minutes: float) -> Iterator[dict[str, Any]]:
    """Yield the rows of stage 2."""
    tried: dict[Toy, float] = {}
    better = True
    while better:
        better = False
        for near in [toy, *neighbours(toy)]:
            if near in tried or time.process_time() > 60 * minutes:
                continue
            found = finals(toy_curves(near, CLIMB_SEEDS))
            tried[near] = margin(found)
            yield row(2, CLIMB_SEEDS, near, found)
            if tried[near] > tried[toy]:
                toy, better = near, True
                break


def neighbours(toy: Toy) -> Iterator[Toy]:
    """Yield the settings one move away."""
    for name, values in FINE.items():
        here = getattr(toy, name)
        below, above = [v for v in values if v < here], [v for v in values if v > here]
        for value in (*below[-1:], *above[:1]):
            yield replace(toy, **{name: value})


def main() -> None:
    """Run the search and write its table line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=12, help="CPU minutes after which no new setting is begun")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "toy_search.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row(0, [], BASE, NOTHING)), lineterminator="\n")
        writer.writeheader()
        for line in search(arguments.draws, arguments.minutes):
            writer.writerow(line)
            file.flush()
            print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)
    print(f"{time.process_time():.0f} s of CPU; wrote {arguments.out}")


if __name__ == "__main__":
    main()
