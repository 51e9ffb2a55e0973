"""Decoupled regularisation: a temperature per state, so that the bonus has one range whatever the number of actions."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._mdp import END, MDP, make_mdp

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
        >>> import torch
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
        >>> import torch
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
    start = torch.zeros(len(cells))
    start[0] = 1
    shape = (len(cells), len(moves))
    return make_mdp(rewards=torch.full(shape, -1.0), successors=torch.tensor(successors), start=start)


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
    start = torch.tensor([1.0, 0.0, 0.0])
    return make_mdp(rewards=torch.zeros(3, width), successors=successors, start=start, mask=mask, discount=discount)
