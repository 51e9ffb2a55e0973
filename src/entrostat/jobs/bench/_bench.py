"""The command: run the cases, print the table, write it, draw it."""

from __future__ import annotations

import csv
import datetime
import html
import json as json_
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from entrostat.jobs.bench._ways import CLAMP, Case, Result, clock, compiler_missing, measure
from entrostat.ops import Support, available_backends, check_token_stats, token_stats

QUICK = (
    Case(dtype="float32", rows=16, vocab=151_936),
    Case(dtype="float32", rows=1024, vocab=1024),
    Case(dtype="float32", rows=64, vocab=32_000, features=256),
)
FULL = (
    Case(dtype="float32", rows=128, vocab=151_936),
    Case(dtype="bfloat16", rows=64, vocab=151_936),
    Case(dtype="float32", rows=4096, vocab=1024),
    Case(dtype="float32", rows=128, vocab=151_936, features=512),
    Case(dtype="float32", rows=512, vocab=32_000, features=512),
    Case(dtype="float32", rows=2400, vocab=1024, features=64),
)


def main(out: Path | None = None, quick: bool = False, json: bool = False) -> list[Result]:
    """Compare our operations with the published algorithm, the host's kernel and the machine's limits.

    Every case runs all ways in turn, round after round; figures are medians over the rounds. Memory is read in a fresh
    process per way (Linux and CUDA; elsewhere it is left out). The last lines fit the cost's slope over the vocabulary
    and over the rows: 1 is linear.

    Args:
        out: folder for `bench.csv`, `slopes.csv` and `bench.svg`; None writes nothing.
        quick: three small cases, without memory, slopes and torch.compile: well under a minute on an idle machine.
        json: print one JSON object instead of the table.

    Returns:
        One result per way and case.
    """

    def say(text: str) -> None:
        if not json:
            print(f"  {text}", file=sys.stderr, flush=True)

    rounds = 3 if quick else 5
    results = [result for case in (QUICK if quick else FULL) for result in measure(case, rounds, not quick, say)]
    fits = [] if quick else [*slopes(say)]
    facts, checks = machine(), check_microseconds()
    if json:
        rows = [asdict(result) for result in results]
        print(json_.dumps({"machine": facts, "results": rows, "slopes": fits, "checks_us": checks}))
    else:
        print(table(results, facts, fits, checks))
    if out is not None:
        _write(out, results, fits, facts)
    return results


def machine() -> dict[str, str]:
    """Return the facts that the figures depend on."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": str(torch.get_num_threads()),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = " ".join(lines)
    wide = " (AVX-512)" if "avx512f" in flags else " (AVX2)" if "avx2" in flags else ""
    return name + wide


def check_microseconds(repeats: int = 50) -> float:
    """Return the microseconds of all checks of one call of `token_stats`: the least over blocks of 100 calls."""
    logits, targets = torch.randn(128, 1024), torch.zeros(128, dtype=torch.long)
    best = math.inf
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(100):
            check_token_stats(logits, targets, support=Support(clamp=CLAMP))
        best = min(best, (time.process_time() - began) / 100)
    return best * 1e6


def slopes(say: Callable[[str], None]) -> Iterable[dict[str, float | str]]:
    """Yield the exponent of time over V and over N, for our fastest way on logits."""
    vocabularies = [(max(4, (1 << 22) // vocab), vocab) for vocab in (1024, 4096, 16_384, 65_536, 262_144)]
    batches = [(rows, 1024) for rows in (256, 1024, 4096, 16_384)]
    for name, sizes, axis in (("vocabulary", vocabularies, 1), ("rows", batches, 0)):
        say(f"slope over {name}")
        seconds = [_seconds_per_call(rows, vocab) for rows, vocab in sizes]
        if axis == 1:  # the number of rows differs from point to point
            seconds = [second / rows for second, (rows, _) in zip(seconds, sizes, strict=True)]
        xs, ys = [math.log(size[axis]) for size in sizes], [math.log(second) for second in seconds]
        yield {
            "over": name,
            "exponent": statistics.linear_regression(xs, ys).slope,
            "from": sizes[0][axis],
            "to": sizes[-1][axis],
        }


def _seconds_per_call(rows: int, vocab: int) -> float:
    logits = torch.empty(rows, vocab).normal_(0, 2.5).requires_grad_()
    targets = torch.zeros(rows, dtype=torch.long)
    every: list[float] = []
    for _ in range(5):
        began = clock()
        stats = token_stats(logits, targets, clamp=CLAMP)
        torch.autograd.grad((stats.logprobs + stats.clamped_entropy).sum(), logits)
        every.append(clock() - began)
    return statistics.median(every[1:])


def table(results: list[Result], facts: dict[str, str], slopes: list[dict[str, float | str]], checks: float) -> str:
    """Return the results as text."""
    lines = [", ".join(f"{key} {value}" for key, value in facts.items())]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lines.append(f"our implementations here: {', '.join(available_backends(device))}")
    if reason := compiler_missing():
        lines.append(f"left out: {reason}")
    head = ""
    for result in results:
        size = f"{result.rows} x {result.vocab}" + (f", D {result.features}" if result.features else "")
        if head != (head := f"{result.level}, {result.dtype}, {size}"):
            lines += ["", f"{head:42}{'ms':>10}{'speed-up':>10}{'x floor':>9}{'memory':>9}"]
        memory = "" if result.extra_share is None else f"{result.extra_share:9.2f}"
        lines.append(
            f"  {result.provider:40}{result.milliseconds:10.1f}{result.speedup:10.1f}{result.times_floor:9.1f}{memory}"
        )
    lines += ["", "speed-up: over the published algorithm. floor: 1.5 copies of the logits, or 3 matrix products."]
    if any(result.extra_share is not None for result in results):
        lines.append("memory: peak beyond inputs and gradients, in units of the logits.")
    lines.append(f"the checks of a call take {checks:.1f} microseconds.")
    lines += [f"time ~ {s['over']}^{s['exponent']:.2f} from {s['from']} to {s['to']}" for s in slopes]
    return "\n".join(lines)


def _write(out: Path, results: list[Result], slopes: list[dict[str, float | str]], facts: dict[str, str]) -> None:
    rows = [
        {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in asdict(result).items()}
        for result in results
    ]
    write_table(out / "bench.csv", rows, facts)
    if slopes:
        write_table(out / "slopes.csv", slopes, facts)
    (out / "bench.svg").write_text(draw(results, facts))


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any] | None = None) -> None:
    """Write rows with the same columns, and facts that hold for all of them.

    Args:
        path: the file; its directory is made.
        rows: at least one.
        facts: columns of the same value in every row, such as `machine()`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "results" / "time.csv"
        >>> write_table(path, [{"rows": 2, "ms": 1.5}, {"rows": 4, "ms": 3.1}], {"threads": 1})
        >>> path.read_text().split()
        ['rows,ms,threads', '2,1.5,1', '4,3.1,1']
    """
    shared = dict(facts or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *shared], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **shared} for row in rows)


# The picture: one panel per case, one bar per way, time on a logarithmic axis. Plain SVG, no library.
_LEFT, _WIDTH, _BAR, _GAP = 250, 460, 18, 46
_OURS, _FLOOR, _OTHER = "#0b6e4f", "#b0b0b0", "#7a8ca3"


def draw(results: list[Result], facts: dict[str, str]) -> str:
    """Return the SVG text."""
    body: list[str] = []
    y = 34
    for case, group in groupby(
        results, key=lambda result: (result.level, result.dtype, result.rows, result.vocab, result.features)
    ):
        members = list(group)
        level, dtype, rows, vocab, features = case
        size = f"{rows} x {vocab}" + (f", D = {features}" if features else "")
        body.append(_text(8, y + 12, f"{level}, {dtype}, {size} (ms, forward + backward, logarithmic)", bold=True))
        y += 22
        for member, length in zip(members, _lengths([member.milliseconds for member in members]), strict=True):
            body.append(_bar(member, y, length))
            y += _BAR
        y += _GAP - 22
    title = _text(8, 18, ", ".join(facts.values()))
    style = "font-family:system-ui,sans-serif;font-size:12px;background:white"
    width = _LEFT + _WIDTH + 160
    size = f'viewBox="0 0 {width} {y}" width="{width}" height="{y}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{style}">'
        f'<rect width="100%" height="100%" fill="white"/>{title}{"".join(body)}</svg>\n'
    )


def _lengths(values: list[float]) -> list[float]:
    low, high = math.log(min(values)) - 0.2, math.log(max(values))
    return [(math.log(value) - low) / (high - low) * _WIDTH for value in values]


def _bar(result: Result, y: int, length: float) -> str:
    floor = result.provider in ("copy", "one matrix product")
    color = _FLOOR if floor else _OURS if result.provider.startswith("entrostat") else _OTHER
    figure = f"{result.milliseconds:.3g} ms" + ("" if floor else f", {result.speedup:.1f}x")
    return (
        _text(_LEFT - 6, y + 12, result.provider, anchor="end")
        + f'<rect x="{_LEFT}" y="{y + 2}" width="{length:.1f}" height="{_BAR - 5}" fill="{color}"/>'
        + _text(_LEFT + length + 6, y + 12, figure)
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{html.escape(text)}</text>'
