"""Shows what a step of the toy costs by the number of tokens.

    python benchmarks/lab_cost.py [--out benchmarks/results/lab_cost.csv]

With a column per token the cost grows linearly; with levels of equal tokens it does not depend on their number. The
time is CPU time of one thread, the least of a few repeats, so that it can be read on a busy machine.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from dataclasses import replace
from pathlib import Path

import torch

from entrostat.lab._toy import METHODS, Method, Toy, run_toy

SIZES = (3_000, 10_000, 30_000, 100_000, 300_000)
BASE = Toy(actions=100_000, optimal=5)


def milliseconds(toy: Toy, method: Method, *, steps: int, repeats: int = 3) -> float:
    """Return CPU milliseconds per step: the least over repeats of a long run minus a short one."""

    def spent(count: int) -> float:
        began = time.process_time()
        run_toy(replace(toy, steps=count), method, 0)
        return time.process_time() - began

    return min((spent(2 * steps) - spent(steps)) / steps for _ in range(repeats)) * 1000


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "lab_cost.csv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, float | str]] = []
    for levels in (0, BASE.levels):
        for method in METHODS:
            for actions in SIZES:
                toy = replace(BASE, actions=actions, levels=levels)
                cost = milliseconds(toy, method, steps=10 if not levels else 50)
                rows.append({"levels": levels, "method": method, "actions": actions, "ms_per_step": round(cost, 4)})
                print(rows[-1], flush=True)
            here = [row for row in rows if row["levels"] == levels and row["method"] == method]
            first, last = here[1], here[-1]
            slope = math.log(float(last["ms_per_step"]) / float(first["ms_per_step"])) / math.log(SIZES[-1] / SIZES[1])
            print(f"levels {levels}, {method}: cost ~ actions^{slope:.2f} from {SIZES[1]} to {SIZES[-1]}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
