"""MEGA and OMEGA: practise goals that were reached, but rarely; drift to the wanted ones as they come within reach."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_choice, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim

Rule = Literal["mega", "diverse", "achieved"]


def kernel_density(points: Tensor, buffer: Tensor, *, weights: Tensor | None = None, bandwidth: float = 0.1) -> Tensor:
    """Log-density of each point under a Gaussian kernel estimate of the buffer.

    Args:
        points: `[N, D]`.
        buffer: `[M, D]`, the goals achieved so far.
        weights: `[M]`, how often each was achieved, at least 0; None counts each once.
        bandwidth: of the kernel, in standard deviations of the buffer along each feature; positive.

    Returns:
        `[N]` float64, in the units of the features.

    Raises:
        ValueError: shapes do not fit, nothing in the buffer, or `bandwidth` not positive.

    Reference:
        Pitis, Chan, Zhao, Stadie, Ba, "Maximum entropy gain exploration", arXiv 2007.02832 (bandwidth of the code).

    Example:
        >>> buffer = torch.tensor([[0.0], [0.1], [0.2], [5.0]])
        >>> dense, sparse = kernel_density(torch.tensor([[0.1], [5.0]]), buffer)
        >>> bool(dense > sparse)
        True
    """
    fits = points.dim() == buffer.dim() == 2 and points.shape[-1] == buffer.shape[-1]
    require(fits, "buffer", f"have shape [M, {points.shape[-1]}]", tuple(buffer.shape))
    require(require_finite("bandwidth", bandwidth) > 0, "bandwidth", "be positive", bandwidth)
    share = torch.ones(len(buffer), dtype=torch.float64) if weights is None else weights.double()
    require(share.shape == buffer.shape[:1], "weights", f"have shape [{len(buffer)}]", tuple(share.shape))
    require(float(share.sum()) > 0, "buffer", "hold something that was achieved", float(share.sum()))
    share = share / share.sum()
    points, buffer = points.double(), buffer.double()
    spread = (share @ (buffer - share @ buffer).square()).sqrt()
    scale = bandwidth * spread.where(spread > 1e-12, 1)  # a feature that never varied has no scale of its own
    squares = torch.cdist(points / scale, buffer / scale).square()
    constant = scale.log().sum() + points.shape[-1] * math.log(2 * math.pi) / 2
    return (share.log() - squares / 2).logsumexp(-1) - constant


def goal_probabilities(log_density: Tensor, achievable: Tensor, *, rule: Rule = "mega") -> Tensor:
    """Probability to draw each candidate goal.

        mega: the achievable one of least density      diverse: proportional to 1/density      achieved: to density

    Args:
        log_density: `[N]`, of the candidates among the achieved goals.
        achievable: `[N]` booleans: those whose estimated success is above the cutoff.
        rule: which of the three; ties share under "mega".

    Returns:
        `[N]`, float64, 0 for goals that are not achievable.

    Raises:
        ValueError: nothing is achievable, shapes differ, or an unknown rule.

    Example:
        >>> goal_probabilities(torch.tensor([0.0, -3.0, -9.0]), torch.tensor([True, True, False])).tolist()
        [0.0, 1.0, 0.0]
    """
    require_choice("rule", rule, Rule)
    shape = tuple(log_density.shape)
    require(achievable.shape == log_density.shape, "achievable", f"have shape {shape}", tuple(achievable.shape))
    require(bool(achievable.any()), "achievable", "hold at least one candidate", "none", "Lower the cutoff.")
    density = log_density.double()
    if rule == "mega":
        least = density.masked_fill(~achievable, torch.inf).min()
        chosen = (achievable & (density == least)).double()
        return chosen / chosen.sum()
    sign = -1.0 if rule == "diverse" else 1.0
    return (sign * density).masked_fill(~achievable, -torch.inf).softmax(-1)


def omega_weight(divergence: float, *, bias: float = -3.0) -> float:
    """Probability to practise a wanted goal instead of a rare one: `1 / max(b + KL(wanted || achieved), 1)`.

    Example:
        >>> omega_weight(4.0), omega_weight(13.0)
        (1.0, 0.1)
    """
    require(divergence >= 0, "divergence", "be at least 0", divergence)
    return 1 / max(bias + divergence, 1.0)


def moved_cutoff(cutoff: float, success: float, *, step: float, low: float = 0.3, high: float = 0.7) -> float:
    """Return the cutoff after some practised goals: down by `step` where they were easy, up where they were too hard.

    The authors' cutoff is on a value that counts steps to go: step 1, from -3 on. On a success rate, take `step` 0.05.

    Example:
        >>> moved_cutoff(0.5, 0.9, step=0.05), moved_cutoff(0.5, 0.5, step=0.05)
        (0.45, 0.5)
    """
    require(0 <= success <= 1, "success", "lie in [0, 1]", success)
    if success >= high:
        return cutoff - step
    return cutoff + step if success <= low else cutoff


@dataclass(frozen=True, kw_only=True)
class RarePrompts:
    """A curriculum over prompts that were solved, but whose kind of answer was rarely achieved.

    With probability `omega_weight(KL)` a prompt comes from the wanted distribution, else from the rare ones among the
    solved. Never-solved prompts are not chosen for rarity: nothing was achieved there. Densities count one embedding of
    each success, so a prompt solved often makes its neighbourhood common.

    Args:
        cutoff: least estimated success rate, at least 0; a prompt never solved is out at 0 too.
        rule: as in `goal_probabilities`.
        bandwidth: of the kernel density.
        bias: of `omega_weight`; None never draws from the wanted distribution (MEGA).

    Raises:
        ValueError: a setting outside its range.

    Reference:
        Pitis et al., arXiv 2007.02832; the transfer from goals to prompts is ours.

    Example:
        >>> sampler = RarePrompts(bias=None)
        >>> embeddings = torch.tensor([[0.0], [0.1], [3.0], [9.0]])
        >>> sampler.probabilities(torch.tensor([9, 9, 1, 0]), torch.tensor([9, 9, 3, 9]), embeddings).tolist()
        [0.0, 0.0, 1.0, 0.0]
    """

    cutoff: float = 0.0
    rule: Rule = "mega"
    bandwidth: float = 0.1
    bias: float | None = -3.0

    def __post_init__(self) -> None:
        require(0 <= require_finite("cutoff", self.cutoff) < 1, "cutoff", "lie in [0, 1)", self.cutoff)
        require(require_finite("bandwidth", self.bandwidth) > 0, "bandwidth", "be positive", self.bandwidth)
        require_choice("rule", self.rule, Rule)

    def probabilities(self, solved: Tensor, tried: Tensor, embeddings: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Return the probability to draw each prompt next.

        Args:
            solved: `[N]` successes of each prompt.
            tried: `[N]` attempts.
            embeddings: `[N, D]`, of a prompt's successful answers.
            wanted: `[N]`, the distribution one trains for; None is uniform.

        Returns:
            `[N]` float64; `wanted` while nothing is solved.

        Raises:
            ValueError: more successes than attempts.
        """
        require(bool((solved <= tried).all()), "solved", "be at most `tried`", int((solved - tried).max()))
        goal = torch.full(solved.shape, 1.0, dtype=torch.float64) if wanted is None else wanted.double()
        goal = goal / goal.sum()
        achievable = (solved > 0) & (solved / tried.clamp(min=1) >= self.cutoff)
        if not bool(achievable.any()):
            return goal
        achieved = kernel_density(embeddings, embeddings, weights=solved, bandwidth=self.bandwidth)
        rare = goal_probabilities(achieved, achievable, rule=self.rule)
        if self.bias is None:
            return rare
        desired = kernel_density(embeddings, embeddings, weights=goal, bandwidth=self.bandwidth)
        divergence = float(goal @ (desired - achieved))  # KL(wanted || achieved), an estimate that may fall below 0
        weight = omega_weight(max(divergence, 0.0), bias=self.bias)
        return weight * goal + (1 - weight) * rare


# [69] Practising the rarest of the reached goals covers a grid; wanting the far corner from the start does not.

SIDE = 15
LENGTH = 40
Goals = Literal["mega", "diverse", "achieved", "far corner"]

MOVES = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Walk(NamedTuple):
    """The visits of a walk."""

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
        goal = None
        if goals != "far corner":
            visited = torch.tensor(counts, dtype=torch.float64)
            odds = goal_probabilities(visited.log(), visited > 0, rule=goals)
            goal = divmod(rng.choices(range(SIDE**2), odds.tolist())[0], SIDE)
        place = (0, 0)
        for _ in range(LENGTH):
            if goal is not None and place == goal:
                goal = None
            place = _step(place, goal, rng)
            counts[place[0] * SIDE + place[1]] += 1
        shares = [c / sum(counts) for c in counts if c]
        entropies.append(-sum(share * math.log(share) for share in shares))
    return Walk(entropies, sum(c > 0 for c in counts))


def _step(place: tuple[int, int], goal: tuple[int, int] | None, rng: random.Random) -> tuple[int, int]:
    if goal is None:
        move = rng.choice(MOVES)
        return (min(max(place[0] + move[0], 0), SIDE - 1), min(max(place[1] + move[1], 0), SIDE - 1))
    axis = rng.choice([i for i in (0, 1) if goal[i] != place[i]])
    moved = list(place)
    moved[axis] += 1 if goal[axis] > place[axis] else -1
    return (moved[0], moved[1])


@claim("classical", source="[69] Pitis et al. 2020, arXiv 2007.02832 (authors' code read; grid ours)")
def classical_mega_coverage(quick: bool) -> Outcome:
    """Setting the rarest achieved goal (MEGA) makes visits more even than goals drawn against density, by density, or
    one far goal, in this order, and covers the whole grid.
    """
    # Compare four ways to set goals.
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
                    Series(name=n, x=[k + 1 for k in shown], y=[c[k] for k in shown]) for n, c in curves.items()
                ),
            ),
        ),
        remarks="Reaching a visited cell is perfect by assumption, and the density of achieved goals is the count.",
    )
