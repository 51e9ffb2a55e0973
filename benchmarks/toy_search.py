"""Searches the settings of the toy for the ordering of the paper's figure.

    python benchmarks/toy_search.py [--draws 60] [--minutes 20] [--out benchmarks/results/toy_search.csv]

Stage 1 draws settings at random and runs each once at a small number of tokens. Stage 2 runs the best of them under
seeds that stage 1 did not see. What is found is checked at other sizes and seeds by `entrostat lab toy_figure`.
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
from entrostat.lab._toy_order import OPTIMAL, Finals, finals, margin, toy_curves

SPACE: dict[str, tuple[Any, ...]] = {
    "peak": (0.0, 1.0, 2.0, 2.5, 3.0),
    "informed": (True, True, False),
    "clamp": (0.33, 0.7, 0.9, 0.95, 0.98),
    "coef": (0.005, 0.02, 0.1),
    "rate": (0.05, 0.1, 0.2),
    "samples": (0, 1, 2, 5),
    "trap": (0.0, 0.0, 0.1),
}
BASE = Toy(actions=10_000, optimal=1, steps=400)
KEPT_FOR_STAGE_2 = 5
SHARE_OF_STAGE_1 = 0.7
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
        toy = replace(BASE, **{name: draw.choice(values) for name, values in SPACE.items()})
        if time.process_time() > 60 * minutes * SHARE_OF_STAGE_1:
            break
        found = finals(toy_curves(toy, [0]))
        screened.append((margin(found), toy))
        yield row(1, [0], toy, found)
    screened.sort(key=lambda pair: -pair[0])
    for _, toy in screened[:KEPT_FOR_STAGE_2]:
        if time.process_time() > 60 * minutes:
            break
        yield row(2, [1, 2, 3], toy, finals(toy_curves(toy, [1, 2, 3])))


def main() -> None:
    """Run the search and write its table line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=20, help="CPU minutes after which no new setting is begun")
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
