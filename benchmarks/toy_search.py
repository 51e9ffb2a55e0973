"""Searches the settings of the toy for the ordering of the paper's figure.

    python benchmarks/toy_search.py [--draws 25] [--out benchmarks/results/toy_search.csv]

Stage 1 draws settings at random from a wide space and runs each once. Stage 2 is a grid where the entropy-bias lemma
says that rarity of right tokens starts to count: coefficients about 1 / log(A / N). The best of it is the setting that
`entrostat lab toy_figure` checks under seeds and at sizes that are not used here.
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

from entrostat.lab.theory.toy import METHODS, Toy
from entrostat.lab.theory.toy_figure import OPTIMAL, Finals, finals, margin, toy_curves

WIDE: dict[str, tuple[Any, ...]] = {
    "peak": (0.0, 1.0, 2.0, 2.5, 3.0),
    "informed": (True, True, False),
    "clamp": (0.33, 0.7, 0.9, 0.95, 0.98),
    "coef": (0.005, 0.02, 0.05, 0.1, 0.2),
    "rate": (0.05, 0.1, 0.2),
    "samples": (0, 2, 5, 10, 20, 50, 100),
    "trap": (0.0, 0.0, 0.1),
}
GRID: dict[str, tuple[Any, ...]] = {
    "coef": (0.085, 0.09, 0.095, 0.1),
    "samples": (50, 100),
    "peak": (2.5, 3.0),
    "rate": (0.1, 0.15),
}
BASE = Toy(actions=100_000, optimal=1, steps=400)
GRID_SEEDS = [1, 2, 3, 4]
NOTHING: Finals = dict.fromkeys(itertools.product(OPTIMAL, METHODS), 0.0)


def row(stage: int, seeds: list[int], toy: Toy, found: Finals) -> dict[str, Any]:
    """Return one line of the table."""
    settings = {key: value for key, value in asdict(toy).items() if key != "optimal"}
    rewards = {f"{method}_{optimal}": round(value, 4) for (optimal, method), value in found.items()}
    head = {"stage": stage, "seeds": " ".join(map(str, seeds))}
    return {**head, **settings, **rewards, "margin": round(margin(found), 4)}


def search(draws: int) -> Iterator[dict[str, Any]]:
    """Yield one row per setting and stage."""
    draw = random.Random(0)
    for _ in range(draws):
        toy = replace(BASE, **{name: draw.choice(values) for name, values in WIDE.items()})
        yield row(1, [0], toy, finals(toy_curves(toy, [0])))
    for values in itertools.product(*GRID.values()):
        toy = replace(BASE, clamp=0.9, **dict(zip(GRID, values, strict=True)))
        yield row(2, GRID_SEEDS, toy, finals(toy_curves(toy, GRID_SEEDS)))


def main() -> None:
    """Run the search and write its table line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "toy_search.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row(0, [], BASE, NOTHING)), lineterminator="\n")
        writer.writeheader()
        for line in search(arguments.draws):
            writer.writerow(line)
            file.flush()
            print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)
    print(f"{time.process_time():.0f} s of CPU; wrote {arguments.out}")


if __name__ == "__main__":
    main()
