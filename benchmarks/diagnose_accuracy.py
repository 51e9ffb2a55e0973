"""How often the diagnosis is right: simulated runs with a known failure, and real runs of the embedded model.

    python benchmarks/diagnose_accuracy.py [--seeds 50]

A simulated run draws when its failure begins, how fast and how far it goes, and how noisy the log is; the findings are
compared with what was built in. The real runs are this repository's own, kept under `benchmarks/results/diagnose/` as
tables of step, entropy, coefficient, reward and useless mass; `runs.csv` there lists their known failures, judged by
the recipe and by eye. Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from collections.abc import Callable
from pathlib import Path

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import alarms
from entrostat.observe.analysis.law import Law, fit_law
from entrostat.observe.diagnose import read

REAL = Path(__file__).parent / "results" / "diagnose"
KINDS = ("collapsed", "exploded", "oscillated", "pinned", "idle", "inert")
Series = list[float]


def noisy(level: Series, dice: random.Random) -> Series:
    """Multiply by log-normal noise, correlated between neighbouring steps as in real logs."""
    size, correlation, error = dice.uniform(0.03, 0.15), dice.uniform(0.0, 0.6), 0.0
    values: Series = []
    for value in level:
        error = correlation * error + math.sqrt(1 - correlation**2) * dice.gauss(0, size)
        values.append(value * math.exp(error))
    return values


def onset(dice: random.Random, steps: int) -> tuple[float, float]:
    """Return when a failure begins and over how many steps it unfolds."""
    return dice.uniform(0.05, 0.5) * steps, dice.uniform(0.02, 0.25) * steps


def healthy(dice: random.Random, steps: int) -> Series:
    """A decline to between 60 and 100 % of the start, with a passing dip or spike."""
    end, dip, size = dice.uniform(0.6, 1.0), dice.randrange(steps), dice.uniform(0.7, 1.4)
    drift = [1 - (1 - end) * (1 - math.exp(-3 * s / steps)) for s in range(steps)]
    return [value * (size if abs(s - dip) < 6 else 1.0) for s, value in enumerate(drift)]


def collapse(dice: random.Random, steps: int) -> Series:
    """Down to between 5 and 40 %."""
    begin, length = onset(dice, steps)
    floor = dice.uniform(0.05, 0.4)
    return [floor + (1 - floor) / (1 + math.exp((s - begin - length) / (length / 4))) for s in range(steps)]


def explosion(dice: random.Random, steps: int) -> Series:
    """Up to between 1.8 and 10 times the start."""
    begin, length = onset(dice, steps)
    top = dice.uniform(1.8, 10.0)
    return [1 + (top - 1) / (1 + math.exp(-(s - begin - length) / (length / 4))) for s in range(steps)]


def oscillation(dice: random.Random, steps: int) -> Series:
    """Waves by a factor of 1.5 to 3 up and down, of 4 to 10 periods, about a level below 1.2."""
    level, size, periods = dice.uniform(0.7, 1.1), math.log(dice.uniform(1.5, 3.0)), dice.uniform(4, 10)
    return [level * math.exp(-abs(size) / 2 + size * math.sin(2 * math.pi * periods * s / steps)) for s in range(steps)]


def swings_then_falls(dice: random.Random, steps: int) -> Series:
    """The same waves for half to three quarters of the run, then a collapse to between 5 and 25 %."""
    begin, floor = dice.uniform(0.5, 0.75) * steps, dice.uniform(0.05, 0.25)
    fall = [floor + (1 - floor) / (1 + math.exp((s - begin) / (0.02 * steps))) for s in range(steps)]
    return [wave * share for wave, share in zip(oscillation(dice, steps), fall, strict=True)]


def swings_above(dice: random.Random, steps: int) -> Series:
    """Waves about a level that climbs to between 3 and 6 times the start."""
    climb = dice.uniform(3.0, 6.0)
    rise = [1 + (climb - 1) * min(1.0, 2 * s / steps) for s in range(steps)]
    return [wave * level for wave, level in zip(oscillation(dice, steps), rise, strict=True)]


def constant(value: float) -> Callable[[random.Random, int], Series]:
    """The same at every step."""
    return lambda dice, steps: [value] * steps


def moving(dice: random.Random, steps: int) -> Series:
    """A coefficient that a controller moves below its ceiling."""
    phase, period = dice.uniform(0, 6), dice.uniform(0.2, 1.0) * steps
    return [0.01 + 0.005 * math.sin(phase + 2 * math.pi * s / period) + 1e-5 * dice.random() for s in range(steps)]


def ceiling(dice: random.Random, steps: int) -> Series:
    """A coefficient that climbs to a ceiling and stays for 30 % of the run or more."""
    arrives = dice.uniform(0.1, 0.7) * steps
    return [0.02 * min(1.0, s / arrives) for s in range(steps)]


# Each story: the shape of the entropy, of the coefficient, the mass a clamp removes (None: no clamp), and the
# findings built in.
STORIES: dict[str, tuple[Callable[..., Series], Callable[..., Series], float | None, set[str]]] = {
    "healthy, constant coefficient": (healthy, constant(0.01), None, set()),
    "healthy, coefficient steered": (healthy, moving, None, set()),
    "healthy, working clamp": (healthy, moving, 0.06, set()),
    "collapse": (collapse, constant(0.001), None, {"collapsed"}),
    "collapse with the coefficient at its ceiling": (collapse, ceiling, None, {"collapsed", "pinned"}),
    "explosion": (explosion, constant(0.05), None, {"exploded"}),
    "oscillation": (oscillation, moving, None, {"oscillated"}),
    "oscillation, then collapse": (swings_then_falls, moving, None, {"oscillated", "collapsed"}),
    "oscillation about a rising level": (swings_above, moving, None, {"oscillated", "exploded"}),
    "coefficient at its ceiling": (healthy, ceiling, None, {"pinned"}),
    "coefficient zero": (healthy, constant(0.0), None, {"idle"}),
    "inert clamp": (healthy, moving, 0.001, {"inert"}),
}


def simulate(story: str, seed: int) -> Curves:
    """Return one simulated run."""
    shape, pay, removed, _ = STORIES[story]
    dice = random.Random(f"{story} {seed}")
    steps = dice.choice((120, 300, 1000))
    entropy = _levels(shape, dice, steps)
    mass = [1 - (removed or 0.0) * dice.uniform(0.5, 1.5) for _ in range(steps)]
    clamped = [h * (1 - 4 * (removed or 0.0)) for h in entropy]
    series = {"entropy": entropy, "coef": pay(dice, steps), "kept_mass": mass, "clamped_entropy": clamped}
    values = {name: list(enumerate(numbers, start=1)) for name, numbers in series.items()}
    return Curves(name=story, values=values, recipe="simulated")


def _levels(shape: Callable[..., Series], dice: random.Random, steps: int) -> Series:
    start = dice.uniform(0.2, 1.5)
    return noisy([start * value for value in shape(dice, steps)], dice)


def found(curves: Curves) -> set[str]:
    """Return the kinds of findings, as far as they are scored here."""
    return {alarm.kind for alarm in alarms(curves)} & set(KINDS)


def score(cases: list[tuple[set[str], set[str]]]) -> list[str]:
    """Return a table: per kind, how many of the runs that have it were found, and of those without were accused."""
    lines = ["| finding | found | false alarms |", "|---|---|---|"]
    for kind in KINDS:
        having = [kind in said for truth, said in cases if kind in truth]
        without = [kind in said for truth, said in cases if kind not in truth]
        hits = f"{sum(having)} of {len(having)}" if having else "no such run"
        lines.append(f"| {kind} | {hits} | {sum(without)} of {len(without)} |")
    return lines


def accused(seeds: int) -> list[str]:
    """Return one line per story and kind of false alarm."""
    wrong: dict[tuple[str, str], int] = {}
    for story, (_, _, _, truth) in STORIES.items():
        for seed in range(seeds):
            for kind in found(simulate(story, seed)) - truth:
                wrong[story, kind] = wrong.get((story, kind), 0) + 1
    return [f"False alarm `{kind}` in {count} of {seeds} runs of: {story}" for (story, kind), count in wrong.items()]


def real_cases() -> list[tuple[str, set[str], set[str]]]:
    """Return name, truth and findings of every real run."""
    with (REAL / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [(row["run"], set(row["truth"].split()), found(read(REAL / f"{row['run']}.csv")[0])) for row in rows]


def forecasts() -> list[str]:
    """Return a table: the ceiling forecast from the first half of each real run without control, and how it ended."""
    lines = [
        "| run | reward at half | forecast ceiling (H = 0), 95% | forecast at the last entropy | reward at the end |",
        "|---|---|---|---|---|",
    ]
    for path in sorted(REAL.glob("none-*.csv")):
        (curves,) = read(path)
        half = curves.series("entropy")[-1][0] // 2
        early = Curves(
            name=path.stem,
            values={name: [point for point in points if point[0] <= half] for name, points in curves.values.items()},
        )
        law, reward = fit_law(early), [value for _, value in curves.series("reward")]
        last = sum(value for _, value in curves.series("entropy")[-40:]) / 40
        forecast = (
            f"{law.ceiling:.3f} ± {law.half:.3f} | {law.at(last):.3f}" if isinstance(law, Law) else f"{law.reason} |"
        )
        lines.append(
            f"| {path.stem} | {sum(reward[half - 40 : half]) / 40:.3f} | {forecast} | {sum(reward[-40:]) / 40:.3f} |"
        )
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    seeds = parser.parse_args().seeds
    cases = [(STORIES[story][3], found(simulate(story, seed))) for story in STORIES for seed in range(seeds)]
    print(f"Simulated: {len(STORIES)} stories, {seeds} seeds each.\n")
    print("\n".join(score(cases)))
    print("\n".join(["", *accused(seeds)]))
    real = real_cases()
    print(f"\nReal: {len(real)} runs of the embedded model.\n")
    print("\n".join(score([(truth, said) for _, truth, said in real])))
    print("\n".join(f"\n{name}: expected {sorted(t)}, found {sorted(s)}" for name, t, s in real if t != s))
    print("\nThe law's forecast from the first half of a run:\n")
    print("\n".join(forecasts()))


if __name__ == "__main__":
    main()
