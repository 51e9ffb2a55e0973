"""Write the counted figures of docs/scaling.md between their marks.

    python docs/make_scaling.py [--check]

They come from `entrostat.integrations.cost` and from benchmarks/results/traffic.csv. `--check` writes nothing and fails
if the page is old.
"""

from __future__ import annotations

import argparse
import csv
import functools
import math
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from entrostat.integrations.cost import CONTROL_BYTES, GIB, head_cost, ring_bytes

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "scaling.md"
RANKS, TOKENS, RESPONSES = (8, 64, 1000), 8192, 32
"""Of the table of gathers: ranks, and response tokens and responses of a rank and step."""
MODELS = {"0.5B": 494_032_768, "1.5B": 1_543_714_304, "7B": 7_615_616_512, "32B": 32_763_876_352, "72B": 72_706_203_648}
"""Parameters of the Qwen2.5 models."""
ROWS, WIDTH = 8 * 1536, 1536
"""Scored tokens of a micro-batch and width of the model, of the table of heads."""


def prose(*sentences: str) -> list[str]:
    """Return a paragraph."""
    return [*textwrap.wrap(" ".join(sentences), 120, break_on_hyphens=False), ""]


def rows(head: list[str], body: list[list[str]]) -> list[str]:
    """Return a table; all columns but the first are numbers."""
    rule = "|---|" + "---:|" * (len(head) - 1)
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(line) + " |" for line in body), ""]


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a result file."""
    with (RESULTS / name).open() as file:
        return list(csv.DictReader(file))


def gathers() -> str:
    """Return the traffic of recipes besides the sums: a table of those that gather, and the names of the others."""
    found = read("traffic.csv")
    rest = {row["recipe"]: row for row in found if not any(float(row[f"{kind}_bytes"]) for kind in GATHERED)}
    head = ["recipe", "gathers", "of", "bytes for each", *(f"R = {count:,}" for count in RANKS)]
    lines = [
        *prose(
            f"**Counted** (`benchmarks/traffic.py`, the embedded model, {found[0]['date']}). Sums are",
            f"{between(found, 'sums')} all-reduces of {between(found, 'sum_bytes')} bytes in all per step, whatever",
            "the model and the number of ranks. Some recipes gather besides: *gathers* per step, where a rollout batch",
            "has two steps of two micro-batches, and in the last columns what a rank receives per step,",
            f"scaled to {TOKENS:,} response tokens in {RESPONSES} responses a rank:",
        ),
        *rows(head, [gathered(row) for row in found if row["recipe"] not in rest]),
        *prose(f"The others gather nothing: {', '.join(f'`{name}`' for name in rest)}."),
    ]
    return "\n".join(lines).rstrip()


def between(found: list[dict[str, str]], key: str) -> str:
    """Return the range of a column."""
    values = [float(row[key]) for row in found]
    return f"{min(values):g} to {max(values):g}"


GATHERED = {"tokens": "every token", "candidates": "some tokens", "responses": "responses", "numbers": "few numbers"}


def gathered(row: dict[str, str]) -> list[str]:
    """Return a recipe's row of the table of gathers."""
    kinds = [kind for kind in GATHERED if float(row[f"{kind}_bytes"])]
    count = sum(float(row[f"{kind}_gathers"]) for kind in kinds)
    units = {"tokens": float(row["step_tokens"]), "candidates": float(row["step_tokens"])}
    units |= {"responses": float(row["step_responses"]), "numbers": 1.0}
    each = {kind: float(row[f"{kind}_bytes"]) / units[kind] for kind in kinds}
    many = {"tokens": TOKENS, "candidates": TOKENS, "responses": RESPONSES, "numbers": 1}
    received = [count * sum(each[kind] * many[kind] for kind in kinds) for count in RANKS]
    what = ", ".join(GATHERED[kind] for kind in kinds)
    return [f"`{row['recipe']}`", f"{count:g}", what, ", ".join(f"{each[k]:.3g}" for k in kinds), *map(short, received)]


def short(size: float) -> str:
    """Return bytes in three digits."""
    power = max(0, min(3, int(math.log10(max(size, 1)) // 3)))
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}"


def vocabulary() -> str:
    """Return the bytes of a clamp over a sharded vocabulary, beside those of the logits."""
    size = 151_936
    lines = prose(
        f"For {TOKENS:,} rows a clamp puts in {short(64 + 4120 * TOKENS)} per call, against {short(2 * TOKENS * size)}",
        f"for bf16 logits over V = {size:,}. Unlike the logits, this does not grow with the vocabulary.",
    )
    return "\n".join(lines).rstrip()


def heads() -> str:
    """Return the memory of the head by vocabulary."""
    costs = {size: head_cost(ROWS, size, WIDTH) for size in (32_768, 65_536, 151_936, 262_144)}
    body = [
        [f"{size:,}", *(f"{part / GIB:.2f}" for part in (cost.avoided, cost.held, cost.held_by_trl))]
        for size, cost in costs.items()
    ]
    statistics = costs[32_768].statistics
    lines = [
        *prose(
            f"Counted (`entrostat.integrations.cost`), GiB for a micro-batch of {ROWS:,} scored tokens with products",
            "in bf16. *Avoided* are the logits and their gradient, which a plain head holds, often several times over;",
            "*held* are the logits that exist at a time.",
        ),
        *rows(["vocabulary", "avoided", "held by ours", "held by TRL's fused head"], body),
        *prose(f"Statistics take 44 bytes per scored token: {short(statistics)}, whatever the vocabulary."),
    ]
    return "\n".join(lines).rstrip()


def traffic() -> str:
    """Return the bytes per optimizer step, the gradient's beside ours."""
    counts = (8, 64, 256, 1000)
    body = [
        [model, *(f"{ring_bytes(4 * parameters, count) / 1e9:,.2f} GB" for count in counts)]
        for model, parameters in MODELS.items()
    ]
    ours = ["`aent`", *(f"{ring_bytes(CONTROL_BYTES, count)} B" for count in counts)]
    lines = [
        *prose("Counted, for a ring all-reduce of fp32 gradients (DDP) and of our sums:"),
        *rows(["sent per GPU and step by", *(f"{count:,} GPUs" for count in counts)], [*body, ours]),
    ]
    return "\n".join(lines).rstrip()


PARTS: dict[str, Callable[[], str]] = {
    "gathers": gathers, "vocabulary": vocabulary, "heads": heads, "traffic": traffic,
}  # fmt: skip
"""The text between the marks of each part of the page."""


def renewed(text: str, name: str) -> str:
    """Return the page with one part renewed."""
    begin, end = f"<!-- {name}: docs/make_scaling.py -->", f"<!-- end of {name} -->"
    before, begins, rest = text.partition(begin)
    _, ends, after = rest.partition(end)
    if not (begins and ends):
        sys.exit(f"{PAGE.name} has no place for the figures: put {begin} and {end} into it")
    return f"{before}{begin}\n\n{PARTS[name]()}\n\n{end}{after}"


def main() -> None:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    old = PAGE.read_text(encoding="utf-8")
    new = functools.reduce(renewed, PARTS, old)
    if check and new != old:
        sys.exit(f"{PAGE.name} is out of date; run: python docs/make_scaling.py")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
