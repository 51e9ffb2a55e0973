"""Random prefix trees and policies on them, in batches: what the theorems are tried on.

Letters: P trees, A actions, H horizon.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.lab._tree import Levels, PrefixTree, evaluate_tree, tree_logprobs

SHAPES = ((2, 1), (5, 1), (30, 1), (2, 2), (6, 2), (2, 3), (4, 3))
"""Actions and horizon."""


class Sample(NamedTuple):
    """A batch of trees, each with a policy."""

    tree: PrefixTree
    logits: Levels


def samples(count: int, *, scale: float, seed: int) -> Iterator[Sample]:
    """Yield `count` random trees for each of `SHAPES`.

    Rewards lie in [0, 1]: 0 or 1 in one half of the trees, uniform in the other. The logits of a tree are normal with
    a standard deviation drawn uniformly up to `scale`, so that policies from uniform to almost certain occur.
    """
    generator = torch.Generator().manual_seed(seed)
    for actions, horizon in SHAPES:
        rewards = torch.rand(count, actions**horizon, generator=generator, dtype=torch.float64)
        rewards[::2] = (rewards[::2] < 0.5).double()
        tree = PrefixTree(rewards=rewards, horizon=horizon)
        spread = scale * torch.rand(count, 1, 1, generator=generator, dtype=torch.float64)
        logits = tuple(
            spread * torch.randn(tree.shape(h), generator=generator, dtype=torch.float64) for h in range(horizon)
        )
        yield Sample(tree, logits)


def tree_gradient(tree: PrefixTree, logits: Levels, *, coef: float | Tensor = 0.0) -> Tensor:
    """Return the exact gradient of each tree's regularised value in its own logits, flat: `[P, number of logits]`."""
    leaves = tuple(level.detach().requires_grad_() for level in logits)
    value = evaluate_tree(tree, tree_logprobs(tree, leaves), coef=coef).values[0].sum()
    gradients = torch.autograd.grad(value, leaves)
    return torch.cat([gradient.flatten(1) for gradient in gradients], -1)


def bias_bound(tree: PrefixTree) -> Tensor:
    """Return `H log A - log N*`, `[P]`: the price of the bonus per unit of coefficient; N* counts the best answers."""
    answers = torch.tensor(float(tree.rewards.shape[1]), dtype=torch.float64)
    return answers.log() - tree.optimal.sum(-1).double().log()


def log_uniform(count: int, low: float, high: float, *, seed: int) -> Tensor:
    """Return `count` numbers whose logarithms are uniform between those of `low` and `high`."""
    u = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return low * (high / low) ** u
