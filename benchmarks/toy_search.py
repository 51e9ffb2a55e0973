"""Searches the settings of the toy for the ordering of the paper's figure.

    python benchmarks/toy_search.py [--draws 80] [--minutes 20] [--out benchmarks/results/toy_search.csv]

Stage 1 draws settings at random and runs each once at a small number of tokens. Stage 2 runs the best of them under
seeds that stage 1 did not see. The number of tokens and the samples shrink together, so that a token is drawn as often
as it would be at 100,000. What is found here is checked at other sizes and seeds by `entrostat lab toy_figure`.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from entrostat.lab._toy import METHODS, Toy, run_toy
from entrostat.lab._toy_order import OPTIMAL, Finals, margin

SPACE: dict[str, tuple[Any, ...]] = {
    "peak": (0.0, 1.0, 2.0, 2.5, 3.0),
    "informed": (True, True, False),
    "clamp": (0.33, 0.7, 0.9, 0.95, 0.98),
    "coef": (0.005, 0.02, 0.1),
    "rate": (0.1, 0.2, 0.4),
    "samples": (0, 1, 1, 4),
    "features": (0, 0, 0, 60),
    "trap": (0.0, 0.0, 0.1),
}
BASE = Toy(actions=4000, optimal=1, steps=200)
KEPT_FOR_STAGE_2 = 8


def finals(toy: Toy, seeds: Iterable[int]) -> Finals:
    """Return the mean final reward per number of right tokens and method."""
    runs = {
        key: [float(run_toy(replace(toy, optimal=key[0]), key[1], seed).reward[-1]) for seed in seeds]
        for key in itertools.product(OPTIMAL, METHODS)
    }
    return {key: statistics.mean(values) for key, values in runs.items()}


def row(stage: int, seeds: list[int], toy: Toy, found: Finals) -> dict[str, Any]:
    """Return one line of the table."""
    settings = {key: value for key, value in asdict(toy).items() if key != "optimal"}
    rewards = {f"{method}_{optimal}": round(value, 4) for (optimal, method), value in found.items()}
    return {
        "stage": stage,
        "seeds": " ".join(map(str, seeds)),
        **settings,
        **rewards,
        "margin": round(margin(found), 4),
    }


def main() -> None:
    """Run the search and write its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=80)
    parser.add_argument("--minutes", type=float, default=20, help="CPU minutes after which no new setting is begun")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "toy_search.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    settings: list[tuple[float, Toy]] = []
    for index in range(arguments.draws):
        toy = replace(BASE, **{name: draw.choice(values) for name, values in SPACE.items()})
        if time.process_time() > 42 * arguments.minutes:  # 70 % of the time for stage 1
            break
        found = finals(toy, [0])
        settings.append((margin(found), toy))
        rows.append(row(1, [0], toy, found))
        print(f"{index + 1}/{arguments.draws} margin {margin(found):+.3f} {toy}", flush=True)
    settings.sort(key=lambda pair: -pair[0])
    for _, toy in settings[:KEPT_FOR_STAGE_2]:
        if time.process_time() > 60 * arguments.minutes:
            break
        found = finals(toy, [1, 2, 3])
        rows.append(row(2, [1, 2, 3], toy, found))
        print(f"stage 2 margin {margin(found):+.3f} {toy}", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    ordered = sum(r["stage"] == 1 and r["margin"] > 0 for r in rows)
    print(
        f"{ordered} of {len(settings)} settings show the ordering; {time.process_time():.0f} s of CPU; {arguments.out}"
    )


if __name__ == "__main__":
    main()
