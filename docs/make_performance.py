"""Write the tables of `entrostat bench` into README.md and docs/performance.md, between their marks.

    entrostat bench --out benchmarks/results
    python docs/make_performance.py [--check]

Every figure comes from benchmarks/results/bench.csv and slopes.csv. `--check` writes nothing and fails if one is old.
"""

from __future__ import annotations

import argparse
import csv
import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- bench: docs/make_performance.py -->", "<!-- end of bench -->"
Row = dict[str, str]


def read(name: str) -> list[Row]:
    """Return the rows of a result file."""
    with (RESULTS / name).open() as file:
        return list(csv.DictReader(file))


def machine(row: Row) -> str:
    """Return the machine and the versions that the figures depend on."""
    threads = "one thread" if row["threads"] == "1" else f"{row['threads']} threads"
    return f"{row['device']}, {threads}, torch {row['torch']}, Python {row['python']}, {row['date']}"


def case(row: Row) -> str:
    """Return the computed case, in words."""
    size = f"{int(row['rows']):,} x {int(row['vocab']):,}"
    return f"from hidden states, {size}, D = {row['features']}" if row["features"] != "0" else f"from logits, {size}"


def cases(rows: list[Row]) -> list[list[Row]]:
    """Return the rows case by case."""

    def key(row: Row) -> tuple[str, ...]:
        return tuple(row[name] for name in ("level", "dtype", "rows", "vocab", "features"))

    return [list(group) for _, group in groupby(rows, key=key)]


def full(rows: list[Row]) -> str:
    """Return every figure."""
    lines = [f"{machine(rows[0])}. Times are forward and backward, medians of interleaved rounds.", ""]
    for group in cases(rows):
        lines += [f"**{case(group[0])}, {group[0]['dtype']}**", ""]
        lines += ["| way | ms | speed-up | times the floor | extra memory |", "|---|---|---|---|---|"]
        for row in group:
            memory = f"{max(0.0, float(row['extra_share'])):.2f}" if row["extra_share"] else ""
            lines.append(
                f"| {row['provider']} | {float(row['milliseconds']):.1f} | {float(row['speedup']):.1f} | "
                f"{float(row['times_floor']):.1f} | {memory} |"
            )
        lines.append("")
    lines += [
        "Speed-up: over the published algorithm. Floor: 1.5 copies of the logits, or 3 matrix products. Extra memory:"
    ]
    lines += ["peak beyond inputs and gradients, in units of the logits (fp32 or bf16, as the case says).", ""]
    slopes = [
        f"{float(row['exponent']):.2f} over the {row['over']} ({int(row['from']):,} to {int(row['to']):,})"
        for row in read("slopes.csv")
    ]
    lines.append(f"Fitted exponent of time: {' and '.join(slopes)}; 1 is linear.")
    return "\n".join(lines)


def short(rows: list[Row]) -> str:
    """Return the figures of the large vocabulary, ours beside the others'."""
    wanted = {
        "published": "published algorithm",
        "published, logits formed": "published algorithm",
        "eager, torch.compile": "plain formula, torch.compile",
        "TRL fused head, no clamp": "TRL's fused head, without a clamp",
        "verl chunked, no clamp": "verl's chunked functions, without a clamp",
        "verl fused head, no clamp": "verl's fused head, without a clamp",
        "entrostat torch": "entrostat, no compiler",
        "entrostat native": "**entrostat**",
    }
    lines = [f"`entrostat bench`, forward and backward, {machine(rows[0])}:", ""]
    lines += ["| | ms | speed-up | extra memory |", "|---|---|---|---|"]
    for group in cases(rows):
        if group[0]["vocab"] != "151936" or group[0]["dtype"] != "float32":
            continue
        lines.append(f"| *{case(group[0])}* | | | |")
        lines += [
            f"| {wanted[row['provider']]} | {float(row['milliseconds']):.0f} | {float(row['speedup']):.1f}x | "
            f"{max(0.0, float(row['extra_share'])):.2f}x the logits |"
            for row in group
            if row["provider"] in wanted
        ]
    return "\n".join(lines)


def main() -> None:
    """Write or check both pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    rows = read("bench.csv")
    for path, table in ((ROOT / "README.md", short(rows)), (ROOT / "docs" / "performance.md", full(rows))):
        old = path.read_text(encoding="utf-8")
        before, begin, rest = old.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            sys.exit(f"{path.name} has no place for the table: put {BEGIN} and {END} into it")
        new = f"{before}{BEGIN}\n{table}\n{END}{after}"
        if check and new != old:
            sys.exit(f"{path.name} is out of date; run: python docs/make_performance.py")
        path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
