"""[69] Practising the rarest of what was reached covers a grid; wanting the far corner from the start does not."""

from __future__ import annotations

import math
import random
from typing import Literal, NamedTuple

import torch

from entrostat.lab import Claim, Outcome, Plot, Series, main
from entrostat.lab.classical import Rule, goal_probabilities, omega_weight

SIDE = 15
LENGTH = 40
Goals = Literal["mega", "diverse", "achieved", "far corner"]
MOVES = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Walk(NamedTuple):
    """What ten thousand steps left behind."""

    entropies: list[float]
    """Entropy of all visits so far, after each episode, nats."""
    covered: int
    """Cells ever visited."""


def explore(goals: Goals, seed: int, *, episodes: int) -> Walk:
    """Walk on the grid from a corner: to a goal without fail if it was reached before, then at random.

    "far corner" has one goal that was never reached: the agent does not know the way, so every step is random.
    """
    rng = random.Random(seed)
    counts = [0] * SIDE**2
    counts[0] = 1
    entropies: list[float] = []
    for _ in range(episodes):
        goal = None if goals == "far corner" else _choose(counts, goals, rng)
        place = (0, 0)
        for _ in range(LENGTH):
            if goal is not None and place == goal:
                goal = None
            place = _step(place, goal, rng)
            counts[place[0] * SIDE + place[1]] += 1
        entropies.append(_entropy(counts))
    return Walk(entropies, sum(c > 0 for c in counts))


def _choose(counts: list[int], rule: Rule, rng: random.Random) -> tuple[int, int]:
    visited = torch.tensor(counts, dtype=torch.float64)
    odds = goal_probabilities(visited.log(), visited > 0, rule=rule)
    return divmod(rng.choices(range(SIDE**2), odds.tolist())[0], SIDE)


def _step(place: tuple[int, int], goal: tuple[int, int] | None, rng: random.Random) -> tuple[int, int]:
    if goal is None:
        move = rng.choice(MOVES)
        return (min(max(place[0] + move[0], 0), SIDE - 1), min(max(place[1] + move[1], 0), SIDE - 1))
    axis = rng.choice([i for i in (0, 1) if goal[i] != place[i]])
    moved = list(place)
    moved[axis] += 1 if goal[axis] > place[axis] else -1
    return (moved[0], moved[1])


def _entropy(counts: list[int]) -> float:
    total = sum(counts)
    return -sum(c / total * math.log(c / total) for c in counts if c)


def check(quick: bool) -> Outcome:
    """Compare four ways to set goals."""
    seeds = tuple(range(3 if quick else 10))
    episodes = 100 if quick else 400
    rules: tuple[Goals, ...] = ("mega", "diverse", "achieved", "far corner")
    walks = {rule: [explore(rule, s, episodes=episodes) for s in seeds] for rule in rules}
    curves = {rule: [sum(w.entropies[k] for w in ws) / len(ws) for k in range(episodes)] for rule, ws in walks.items()}
    covered = {rule: sum(w.covered for w in ws) / len(ws) for rule, ws in walks.items()}
    final = [curves[rule][-1] for rule in rules]
    shown = range(0, episodes, max(1, episodes // 50))
    figures: dict[str, float | str] = {}
    for rule in rules:
        figures[f"{rule}: entropy of visits after 100 episodes"] = curves[rule][99]
        if not quick:
            figures[f"{rule}: after 400"] = curves[rule][399]
        figures[f"{rule}: cells covered"] = covered[rule]
    figures["largest entropy, log 225"] = math.log(SIDE**2)
    figures["OMEGA's weight at KL 4 and at KL 13"] = f"{omega_weight(4.0):g} and {omega_weight(13.0):g}"
    return Outcome(
        verdict="holds" if final == sorted(final, reverse=True) and covered["mega"] > 224 else "does not hold",
        figures=figures,
        seeds=seeds,
        plots=(
            Plot(
                title="Exploring a 15 x 15 grid from a corner",
                x_label="episodes of 40 steps",
                y_label="entropy of all visits (nats)",
                series=tuple(
                    Series(name=rule, x=[float(k + 1) for k in shown], y=[c[k] for k in shown])
                    for rule, c in curves.items()
                ),
            ),
        ),
        remarks="Reaching a visited cell is perfect by assumption, and the density of achieved goals is the count.",
    )


CLAIM = Claim(
    name="classical_mega_coverage",
    statement=(
        "Setting the rarest achieved goal (MEGA) makes visits more even than goals drawn against density, by density, "
        "or one far goal, in this order, and covers the whole grid."
    ),
    source="[69] Pitis et al. 2020, arXiv 2007.02832 (authors' code read; grid ours)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
