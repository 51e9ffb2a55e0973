"""Decoupled regularisation: a temperature per state, so that the bonus has one range for any number of actions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import END, MDP, Solution, make_mdp, occupancy, soft_value_iteration
from entrostat.lab._policy import softmax


# Shannon's entropy ranges over [0, log n(s)]. With tau(s) = tau / log n(s) the bonus tau(s) H ranges over [0, tau]:
# a state is no longer attractive merely for its number of actions.
def decoupled_temperature(allowed: Tensor, temperature: float, *, floor: float = 0.0) -> Tensor:
    """Temperature of each state that gives its entropy bonus the range `[0, temperature]`.

        tau(s) = tau / max(floor, log n(s))

    Args:
        allowed: number of allowed actions n(s), any shape.
        temperature: tau, positive: the largest bonus of a step.
        floor: 1 for masks that may leave one or two actions, where the logarithm is (almost) nothing.

    Returns:
        float64, the shape of `allowed`.

    Raises:
        ValueError: `temperature` not positive, or a state with a single action and no floor.

    Reference:
        Mohammadpour, Frejinger, Bacon, "Decoupling regularization from the action space", arXiv 2406.05953.

    Example:
        >>> decoupled_temperature(torch.tensor([2, 8]), 0.4)
        tensor([0.5771, 0.1924], dtype=torch.float64)
    """
    require(require_finite("temperature", temperature) > 0, "temperature", "be positive", temperature)
    largest = allowed.double().log().clamp(min=floor)
    remedy = "Give a `floor` where a mask may leave a single action."
    require(bool((largest > 0).all()), "allowed", "be at least 2 everywhere", int(allowed.min()), remedy)
    return temperature / largest


def box_entropy_range(low: Tensor, high: Tensor) -> tuple[float, float]:
    """Smallest and largest differential entropy the method assumes for actions in a box, nats.

        H_max = sum_i log(high_i - low_i)        H_min = d log 1e-3, or H_max - 3 where that is not below H_max

    A target is a fraction of the range; SAC's temperature is divided by its width.

    Raises:
        ValueError: a side of the box is empty.

    Example:
        >>> round(box_entropy_range(torch.tensor([-1.0]), torch.tensor([1.0]))[1], 4)
        0.6931
    """
    require(bool((high > low).all()), "high", "be above `low` everywhere", float((high - low).min()))
    largest = float((high - low).double().log().sum())
    smallest = low.numel() * math.log(1e-3)
    return (smallest if smallest < largest else largest - 3.0), largest


def escape_grid(dimensions: int, *, side: int = 4) -> MDP:
    """The authors' toy: from one corner of a grid to the opposite one, reward -1 a step, `2 * dimensions` moves.

    A move against a wall stays. Axes are exchangeable, so the states here are cells up to a permutation of their axes
    (84 for 6 dimensions instead of 4,096): policies and lengths are those of the full grid.

    Args:
        dimensions: of the grid, at least 1.
        side: cells along an axis, at least 2.

    Returns:
        An undiscounted MDP that ends at the far corner.

    Example:
        >>> escape_grid(6).states, escape_grid(6).actions
        (83, 12)
    """
    require_count("dimensions", dimensions, least=1)
    require_count("side", side, least=2)
    cells = list(itertools.combinations_with_replacement(range(side), dimensions))[:-1]
    number = {cell: index for index, cell in enumerate(cells)}
    moves = list(itertools.product(range(dimensions), (1, -1)))
    successors = [[number.get(_move(cell, axis, by, side), END) for axis, by in moves] for cell in cells]
    shape = (len(cells), len(moves))
    return make_mdp(rewards=torch.full(shape, -1.0), successors=torch.tensor(successors), start=0)


def _move(cell: tuple[int, ...], axis: int, by: int, side: int) -> tuple[int, ...]:
    moved = list(cell)
    moved[axis] = min(max(moved[axis] + by, 0), side - 1)
    return tuple(sorted(moved))


def waiting_room(actions: int, *, cost: float = 1.0) -> MDP:
    """One state, one action that leaves, `actions - 1` that stay; each step costs `cost`.

    The entropy of staying is worth `tau log(actions - 1)` a step: from `cost` on, the soft optimum never leaves.

    Example:
        >>> waiting_room(3).successors.flatten().tolist()
        [-1, 0, 0]
    """
    require_count("actions", actions, least=2)
    successors = torch.zeros(1, actions, dtype=torch.long)
    successors[0, 0] = END
    return make_mdp(rewards=torch.full((1, actions), -cost), successors=successors)


def two_branches(left: int, right: int, *, discount: float = 0.9) -> MDP:
    """A root with two equally good branches; the left state has `left` actions, the right one `right`; all rewards 0.

    Returns:
        States: root, left, right; actions beyond a state's number are masked.

    Example:
        >>> two_branches(4, 2).mask.sum(-1).tolist()
        [2, 4, 2]
    """
    for name, number in (("left", left), ("right", right)):
        require_count(name, number, least=1)
    width = max(2, left, right)
    mask = torch.arange(width) < torch.tensor([[2], [left], [right]])
    successors = torch.full((3, width), END)
    successors[0, :2] = torch.tensor([1, 2])
    return make_mdp(rewards=torch.zeros(3, width), successors=successors, start=0, mask=mask, discount=discount)


def _soft_optimum(mdp: MDP, temperature: float, *, decoupled: bool, **settings: Any) -> Solution:
    """Return the soft optimum at one temperature, or at one for each state."""
    coef = decoupled_temperature(mdp.mask.sum(-1), temperature) if decoupled else temperature
    return soft_value_iteration(mdp, coef=coef, **settings)


# [51] Escaping a grid: the plain bonus makes the way out longer with every dimension, the decoupled one does not.


def escape_length(dimensions: int, *, decoupled: bool) -> float:
    """Return the expected number of steps to the far corner under the soft optimum."""
    mdp = escape_grid(dimensions)
    return float(occupancy(mdp, _soft_optimum(mdp, 0.4, decoupled=decoupled, tolerance=1e-9).policy).sum())


@claim("classical", source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (authors' code read)")
def classical_decoupled_escape(quick: bool) -> Outcome:
    """At one temperature the entropy-regularised optimum takes ever longer to leave a grid as actions are added; with
    the temperature divided by log|A| it stays near the shortest way.
    """
    # Run it in 2 to 6 dimensions (quick: to 5).
    sizes = list(range(2, 6 if quick else 7))
    shortest = [3.0 * n for n in sizes]
    plain, decoupled = ([escape_length(n, decoupled=d) for n in sizes] for d in (False, True))
    close = all(d - s < 0.25 for d, s in zip(decoupled, shortest, strict=True))
    grows = all(b - 3 > a for a, b in itertools.pairwise(plain))
    lines = (("entropy", plain), ("decoupled entropy", decoupled), ("shortest", shortest))
    figures = {f"{name}, n={n}": y for name, ys in lines for n, y in zip(sizes, ys, strict=True)}
    return Outcome(
        verdict="holds" if close and grows and plain[-1] > 1.9 * shortest[-1] else "does not hold",
        figures=figures,
        plots=(
            Plot(
                title="Length of an episode on the escape grid",
                x_label="dimensions of the grid (2n actions)",
                y_label="expected steps to the exit",
                series=tuple(Series(name=name, x=sizes, y=ys, reference=name == "shortest") for name, ys in lines),
                log_y=True,
            ),
        ),
        remarks="Side 4, reward -1 a step, no discount, temperature 0.4. All lengths are exact.",
    )


# [51] A bonus per step that outweighs the cost of a step makes episodes endless: the length guard.

ACTIONS = 64
COST = 1.0


def soft_length(temperature: float, *, actions: int = ACTIONS, decoupled: bool) -> float:
    """Return the expected length of the soft optimum in the waiting room; infinite where iteration diverges."""
    mdp = waiting_room(actions, cost=COST)
    try:
        solution = _soft_optimum(mdp, temperature, decoupled=decoupled, max_sweeps=1000)
    except ValueError:
        return math.inf
    return float(occupancy(mdp, solution.policy).sum())


@claim("classical", source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (threshold derived)")
def classical_decoupled_threshold(quick: bool) -> Outcome:
    """Without discount, an entropy bonus of temperature tau per step makes the optimal episode endless exactly when tau
    log(|A| - 1) reaches the cost of a step.
    """
    # Scan the temperature across the threshold.
    threshold = COST / math.log(ACTIONS - 1)
    shares = [0.2, 0.9, 0.97, 1.03, 1.2] if quick else [0.1 * k for k in range(1, 10)] + [0.95, 0.97, 1.03, 1.1, 1.3]
    plain, decoupled = ([soft_length(s * threshold, decoupled=d) for s in shares] for d in (False, True))
    finite_below = all(math.isfinite(y) == (s < 1) for s, y in zip(shares, plain, strict=True))
    below = [(s, y) for s, y in zip(shares, plain, strict=True) if math.isfinite(y)]
    return Outcome(
        verdict="holds" if finite_below and max(decoupled) < 1.2 else "does not hold",
        figures={
            "threshold of the temperature, cost / log(|A| - 1)": threshold,
            "length at 0.97 of the threshold": soft_length(0.97 * threshold, decoupled=False),
            "length at 1.03 of the threshold": soft_length(1.03 * threshold, decoupled=False),
            "length at temperature 0.4": soft_length(0.4, decoupled=False),
            "decoupled length at temperature 0.4": soft_length(0.4, decoupled=True),
        },
        plots=(
            Plot(
                title="One exit among 64 actions",
                x_label="temperature / threshold",
                y_label="expected steps",
                series=(
                    Series(name="entropy (endless from 1 on)", x=[s for s, _ in below], y=[y for _, y in below]),
                    Series(name="decoupled entropy", x=shares, y=decoupled),
                ),
                log_y=True,
            ),
        ),
        remarks="No discount, each step costs 1. A length is called infinite where value iteration does not converge.",
    )


# [51] Two equally good branches: the plain bonus prefers the one with more actions below it.

DISCOUNT = 0.9
TEMPERATURE = 0.5


def left_probability(left: int, right: int, *, decoupled: bool) -> float:
    """Return the probability of the left branch at the soft optimum."""
    mdp = two_branches(left, right, discount=DISCOUNT)
    return float(_soft_optimum(mdp, TEMPERATURE, decoupled=decoupled).policy[0, 0])


@claim("classical", source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (closed form derived)")
def classical_decoupled_branches(quick: bool) -> Outcome:
    """The plain entropy bonus is pulled towards states with more actions, pi(L)/pi(R) = (nL/nR)^discount at equal
    rewards; the decoupled bonus is not.
    """
    # Compare with the closed form `nL^g / (nL^g + nR^g)`.
    pairs = [(2, 2), (8, 2), (64, 2)] + ([] if quick else [(3, 50), (1000, 10)])
    figures: dict[str, float | str] = {}
    error = 0.0
    for left, right in pairs:
        plain, decoupled = (left_probability(left, right, decoupled=d) for d in (False, True))
        closed = left**DISCOUNT / (left**DISCOUNT + right**DISCOUNT)
        error = max(error, abs(plain - closed), abs(decoupled - 0.5))
        figures[f"left branch at {left} against {right} actions, entropy"] = plain
        figures[f"left branch at {left} against {right} actions, decoupled"] = decoupled
    figures["largest error against the closed forms"] = error
    return Outcome(
        verdict="holds" if error < 1e-9 else "does not hold",
        figures=figures,
        remarks="All rewards are equal, so every preference for a branch is the regulariser's own.",
    )


# [51] A limit of decoupling: it is not invariant to duplicated actions.

VALUES = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)


def grouped_policy(copies: tuple[int, int, int], *, decoupled: bool) -> Tensor:
    """Return the soft-optimal mass `[3]` on three actions of value 1, 0.5, 0, each present in some number of copies."""
    group = torch.repeat_interleave(torch.arange(3), torch.tensor(copies))
    tau = decoupled_temperature(torch.tensor(len(group)), TEMPERATURE) if decoupled else torch.tensor(TEMPERATURE)
    policy = softmax(VALUES[group] / tau)
    return torch.zeros(3, dtype=torch.float64).scatter_add(0, group, policy)


@claim(
    "classical",
    source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (checked by us; not what the paper's title suggests)",
)
def classical_decoupled_duplicates(quick: bool) -> Outcome:
    """Copying every action leaves the plain soft policy unchanged and makes the decoupled one greedier; copying the
    worst action alone feeds it under the plain bonus and starves it under the decoupled one.
    """
    # Duplicate every action, then the worst one only. It is exact, so quick changes nothing.
    del quick
    once, all_plain = (grouped_policy((k, k, k), decoupled=False) for k in (1, 64))
    all_decoupled = grouped_policy((8, 8, 8), decoupled=True)
    worst = {d: [float(grouped_policy((1, 1, k), decoupled=d)[2]) for k in (1, 64)] for d in (False, True)}
    unchanged = float((all_plain - once).abs().max())
    greedier = bool(all_decoupled[0] > once[0] + 0.2)
    holds = unchanged < 1e-12 and greedier and worst[False][1] > 0.8 and worst[True][1] < 0.5 * worst[True][0]
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "plain, one of each: mass on the best": float(once[0]),
            "plain, every action 64 times: change of any group's mass": unchanged,
            "decoupled, every action 8 times: mass on the best": float(all_decoupled[0]),
            "plain, mass on the worst action, once": worst[False][0],
            "plain, mass on the worst action, 64 times": worst[False][1],
            "decoupled, mass on the worst action, once": worst[True][0],
            "decoupled, mass on the worst action, 64 times": worst[True][1],
        },
        remarks="Decoupling fixes the range of the bonus, not multiplicity; transition entropy [53] ignores copies.",
    )
