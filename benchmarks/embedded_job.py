"""The results of the default job, as means and 95 % intervals over seeds, from the records of its runs.

    entrostat run --seeds 3 --out runs/default
    python benchmarks/embedded_job.py runs/default

Prints a table per recipe and four statements, each with the figures it rests on and whether they bear it out. Nothing
is picked: the last evaluation of every finished run counts, and every run of the directory does.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from entrostat.jobs.runs import RunDirectory, run_directories
from entrostat.observe.records import EvaluationRecord, StepRecord, read

# Student's t, two-sided 95 %, by degrees of freedom: 1, 2, ... A table, so that reading records needs no SciPy.
_T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]
WINDOW = 20


@dataclass(frozen=True)
class Run:
    """The figures of one finished run."""

    label: str
    seed: int
    start_entropy: float
    end_entropy: float
    in_band: float
    worst_useless: float
    end_useless: float
    silent: float
    reward: float
    passes: dict[str, float]
    start_passes: dict[str, float]
    greedy: float
    gap: float
    kept: float
    seconds: float


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and the half-width of its interval; infinite for one seed."""

    value: float
    half: float
    seeds: int

    @classmethod
    def of(cls, values: list[float]) -> Mean:
        """Return the mean and interval of some values."""
        count = len(values)
        if count < 2:
            return cls(values[0], math.inf, count)
        return cls(fmean(values), _T[min(count - 2, len(_T) - 1)] * stdev(values) / math.sqrt(count), count)

    def __str__(self) -> str:
        return f"{self.value:.3f}" + ("" if math.isinf(self.half) else f" ±{self.half:.3f}")

    def above(self, other: Mean) -> bool:
        """Whether this interval lies wholly above the other."""
        return self.value - self.half > other.value + other.half


def load(directory: RunDirectory, split: str) -> Run | None:
    """Return the figures of a finished run; None if it is not finished."""
    info = directory.info()
    if info["status"] != "done":
        return None
    records = read(directory.records)
    steps = [record for record in records if isinstance(record, StepRecord)]
    evaluations = [record for record in records if isinstance(record, EvaluationRecord) and record.split == split]
    after = steps[int(info["parameters"].get("warmup", 0)) :]
    useless = [record.useless_mass or 0.0 for record in steps]
    last = steps[-WINDOW:]
    return Run(
        label=info["label"],
        seed=info["seed"],
        start_entropy=fmean(record.entropy for record in steps[:5]),
        end_entropy=fmean(record.entropy for record in last),
        in_band=fmean(_inside(record) for record in after),
        worst_useless=max(fmean(useless[i : i + 10]) for i in range(max(1, len(useless) - 9))),
        end_useless=fmean(useless[-WINDOW:]),
        silent=fmean(record.silent_groups or 0.0 for record in last),
        reward=fmean(record.reward or 0.0 for record in last),
        passes=evaluations[-1].pass_at,
        start_passes=evaluations[0].pass_at,
        greedy=evaluations[-1].greedy or 0.0,
        gap=fmean(record.entropy - record.clamped_entropy for record in steps),
        kept=fmean(record.kept_mass for record in steps),
        seconds=(steps[-1].seconds or 0.0) / len(steps),
    )


def _inside(record: StepRecord) -> float:
    if record.band_low is None or record.band_high is None:
        return 0.0
    return float(record.band_low <= record.clamped_entropy <= record.band_high)


COLUMNS: dict[str, Callable[[Run], float]] = {
    "entropy at end": lambda run: run.end_entropy,
    "steps in band": lambda run: run.in_band,
    "useless, worst 10": lambda run: run.worst_useless,
    "silent groups": lambda run: run.silent,
    "reward": lambda run: run.reward,
    "greedy": lambda run: run.greedy,
    "pass@1": lambda run: run.passes["1"],
    "pass@8": lambda run: run.passes["8"],
    "pass@16": lambda run: run.passes["16"],
    "entropy - clamped": lambda run: run.gap,
    "kept mass": lambda run: run.kept,
}


def table(groups: dict[str, list[Run]]) -> None:
    """Print the table, recipes as columns."""
    print(f"{'':20s}" + "".join(f"{label:>18s}" for label in groups))
    print(f"{'seeds':20s}" + "".join(f"{len(runs):>18d}" for runs in groups.values()))
    for name, figure in COLUMNS.items():
        print(f"{name:20s}" + "".join(f"{Mean.of([figure(run) for run in runs])!s:>18s}" for runs in groups.values()))
    start = next(iter(groups.values()))[0].start_passes
    print(f"start model: pass@1 {start['1']:.3f}  pass@8 {start['8']:.3f}  pass@16 {start['16']:.3f}")


def statements(groups: dict[str, list[Run]]) -> None:
    """Print the claims about the default job, and whether they hold."""

    def mean(label: str, figure: Callable[[Run], float]) -> Mean:
        return Mean.of([figure(run) for run in groups[label]])

    def passes(label: str, k: str) -> Mean:
        return mean(label, lambda run: run.passes[k])

    plain = groups["none"]
    ratios = [run.end_entropy / run.start_entropy for run in plain]
    start = plain[0].start_passes["16"]
    lost = passes("none", "16")
    _say("a", "plain GRPO's entropy falls below half of its start", all(ratio < 0.5 for ratio in ratios),
         f"end/start by seed {_list(ratios)}")  # fmt: skip
    _say(
        "a",
        "and its pass@16 well below the start model's",
        lost.value + lost.half < start,
        f"{lost} against {start:.3f}",
    )
    bonus = groups["entropy_bonus"]
    leaks = [run.worst_useless for run in bonus]
    ends = [run.end_entropy / run.start_entropy for run in bonus]
    brittle = any(leak > 0.01 for leak in leaks) or any(end < 0.5 or end > 1.5 for end in ends)
    _say("b", "the full bonus leaks into useless tokens in some seed, or does not hold entropy", brittle,
         f"useless {_list(leaks)}; end/start {_list(ends)}")  # fmt: skip
    inside = mean("aent", lambda run: run.in_band)
    _say("c", "AEnt's clamped entropy is in its band for 60 % of steps after warm-up", inside.value >= 0.6, str(inside))
    for label in ("aent", "aent-tight"):
        for k in ("8", "16"):
            ours, theirs = passes(label, k), passes("none", k)
            _say(
                "c",
                f"{label}: pass@{k} above plain GRPO's, intervals apart",
                ours.above(theirs),
                f"{ours} against {theirs}",
            )
            paired = difference(groups[label], groups["none"], k)
            statement = f"{label}: pass@{k} minus plain GRPO's on the same seed above zero"
            _say("c", statement, paired.value > paired.half, str(paired))
    tight = [run.worst_useless for run in groups["aent-tight"]]
    paper = [run.worst_useless for run in groups["aent"]]
    _say("d", "the aggressive clamp keeps useless mass under 1 %", max(tight) < 0.01, _list(tight))
    _say("d", "where the paper's clamp does not", max(paper) > 0.01, _list(paper))


def difference(ours: list[Run], theirs: list[Run], k: str) -> Mean:
    """Return the mean difference in pass@k over the seeds both have: same prompts, same order, same first rollout."""
    by_seed = {run.seed: run.passes[k] for run in theirs}
    return Mean.of([run.passes[k] - by_seed[run.seed] for run in ours if run.seed in by_seed])


def _say(part: str, statement: str, holds: bool, figures: str) -> None:
    print(f"({part}) {'holds   ' if holds else 'DOES NOT'}  {statement}: {figures}")


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def main() -> None:
    """Read the directories and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--split", default="test", choices=("test", "validation"))
    options = parser.parse_args()
    found = [load(run, options.split) for directory in options.directories for run in run_directories(directory)]
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in (run for run in found if run is not None):
        groups[run.label].append(run)
    table(groups)
    if {"none", "entropy_bonus", "aent", "aent-tight"} <= set(groups):
        print()
        statements(groups)


if __name__ == "__main__":
    main()
