"""The cost of a seed and a step of the toy by the number of tokens.

    python benchmarks/lab_cost.py [--out benchmarks/results/lab_cost]

Writes OUT.csv and OUT.txt. With a column per token the cost of a step grows linearly with their number; with levels of
equal tokens it does not depend on it. The time is CPU time of one thread, the least of a few repeats, so that it can be
read on a busy machine.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from entrostat.jobs.bench import write_table
from entrostat.lab.theory.toy import METHODS, Method, Toy, run_toy
from entrostat.lab.theory.toy_figure import FOUND, toy_curves

SIZES = (10_000, 30_000, 100_000, 300_000)
ONE = replace(FOUND, optimal=5)
Row = dict[str, float | str]


def spent(work: Callable[[], object]) -> float:
    """Return CPU seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def milliseconds(toy: Toy, method: Method, *, steps: int, repeats: int = 3) -> float:
    """Return CPU milliseconds per step: the least over repeats of a long run minus a short one."""

    def seconds(count: int) -> float:
        return spent(partial(run_toy, replace(toy, steps=count), method, 0))

    return min((seconds(3 * steps) - seconds(steps)) / (2 * steps) for _ in range(repeats)) * 1000


def steps(levels: int) -> Iterator[Row]:
    """Yield the cost of a step of every method at every size."""
    for method in METHODS:
        for actions in SIZES:
            cost = milliseconds(replace(ONE, actions=actions, levels=levels), method, steps=60 if levels else 8)
            yield {"levels": levels, "method": method, "actions": actions, "ms_per_step": round(cost, 4)}


def slope(rows: list[Row]) -> float:
    """Return k of the least-squares fit `ms ~ actions^k`."""
    x, y = ([math.log(float(row[name])) for row in rows] for name in ("actions", "ms_per_step"))
    return statistics.linear_regression(x, y).slope


def machine() -> str:
    """Say what this was measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor()
    return f"{model}, one thread, torch {torch.__version__}, {datetime.date.today().isoformat()}"


def report() -> Iterator[str | Row]:
    """Yield lines of text and rows of the table as they are measured."""
    yield machine()
    yield f"CPU seconds of one seed of the toy figure ({FOUND.actions} tokens, {FOUND.steps} steps):"
    yield f"  all 12 runs, levels of equal tokens: {spent(partial(toy_curves, FOUND, [0])):.1f}"
    for method in METHODS:
        seconds = spent(partial(run_toy, replace(ONE, levels=0), method, 0))
        yield f"  one run, a column per token, {method}: {seconds:.1f}"
    for levels in (0, ONE.levels):
        rows = list(steps(levels))
        yield from rows
        name = "a column per token" if levels == 0 else "levels of equal tokens"
        for method in METHODS:
            here = [row for row in rows if row["method"] == method]
            costs = ", ".join(f"{row['ms_per_step']:.3g}" for row in here)
            yield f"{name}, {method}: {costs} ms per step, cost ~ tokens^{slope(here):.2f}"
    yield f"sizes: {', '.join(map(str, SIZES))} tokens, 25 prompts"


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "lab_cost")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    said: list[str] = []
    rows: list[Row] = []
    for one in report():
        if isinstance(one, str):
            print(one, flush=True)
            said.append(one)
        else:
            rows.append(one)
    write_table(arguments.out.with_suffix(".csv"), rows)
    arguments.out.with_suffix(".txt").write_text("\n".join(said) + "\n")


if __name__ == "__main__":
    main()
