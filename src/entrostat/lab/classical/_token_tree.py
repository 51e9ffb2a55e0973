"""A policy over short sequences, small enough to list every sequence: expectations without sampling."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count


class Sequences(NamedTuple):
    """Every sequence of a tree policy: `[N, T]` each, `N = K^T`, differentiable in the logits."""

    logprobs: Tensor
    entropy: Tensor

    @property
    def probabilities(self) -> Tensor:
        """`[N]`, without gradient."""
        return self.logprobs.detach().sum(-1).exp()


def random_tree(tokens: int, length: int, *, scale: float, generator: torch.Generator) -> list[Tensor]:
    """Draw the logits of a tree policy: one `[K^t, K]` table for each depth t, with gradient.

    Raises:
        ValueError: fewer than two tokens, or no position.

    Example:
        >>> import torch
        >>> [table.shape[0] for table in random_tree(3, 3, scale=1.0, generator=torch.Generator())]
        [1, 3, 9]
    """
    require_count("tokens", tokens, least=2, remedy="With one token there is nothing to choose.")
    require_count("length", length, least=1)
    shapes = [(tokens**depth, tokens) for depth in range(length)]
    return [(scale * torch.randn(s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes]


def every_sequence(tables: Sequence[Tensor]) -> Sequences:
    """List all sequences with the log-prob of each token and the entropy of the distribution it came from.

    Args:
        tables: one `[K^t, K]` table of logits per depth; row r of depth t belongs to the prefix that spells r in base
            K. `-inf` bans a token.

    Example:
        >>> import torch
        >>> listed = every_sequence([torch.zeros(1, 2), torch.zeros(2, 2)])
        >>> listed.probabilities
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    require(len(tables) > 0, "tables", "hold a table for each position", len(tables))
    tokens = tables[0].shape[-1]
    words = torch.tensor(list(itertools.product(range(tokens), repeat=len(tables))))
    prefix = torch.zeros(len(words), dtype=torch.long)
    logprobs: list[Tensor] = []
    entropy: list[Tensor] = []
    for table, choice in zip(tables, words.T, strict=True):
        log_p = table.log_softmax(-1)
        node_entropy = -(log_p.exp() * log_p.nan_to_num(neginf=0.0)).sum(-1)
        logprobs.append(log_p[prefix, choice])
        entropy.append(node_entropy[prefix])
        prefix = prefix * tokens + choice
    return Sequences(torch.stack(logprobs, -1), torch.stack(entropy, -1))


def gradient_per_sequence(surrogate: Callable[[Sequences], Tensor], tables: Sequence[Tensor]) -> Tensor:
    """Gradient of each sequence's summed surrogate in all logits: `[N, P]`, one row per sequence."""
    totals = surrogate(every_sequence(tables)).sum(-1)
    grads = torch.autograd.grad(totals, list(tables), torch.eye(len(totals), dtype=totals.dtype), is_grads_batched=True)
    return torch.cat([grad.flatten(1) for grad in grads], dim=-1)
