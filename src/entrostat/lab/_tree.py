"""Prefix trees: the token MDP of a language model, small enough to enumerate every answer.

A state is a prompt and the tokens written so far; an action appends a token; the reward comes with the last one.
Many prompts are one batch, so that thousands of random trees are checked in one call.

Letters: P prompts, A actions (tokens), H horizon (tokens of an answer), h level; level h has P * A^h states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count
from entrostat.lab._mdp import END, MDP, make_mdp
from entrostat.lab._policy import FORBIDDEN

Levels = tuple[Tensor, ...]
"""One tensor per level, `[P, A^h, A]` or `[P, A^h]`."""
MOST_ANSWERS = 2**27


@dataclass(frozen=True, kw_only=True, eq=False)
class PrefixTree:
    """P prompts whose answers are all sequences of H tokens out of A.

    Args:
        rewards: `[P, A**H]`, of complete answers in lexicographic order.
        horizon: H, at least 1.
        permitted: `[P, A**H]`, answers that may be written; all if left out. A token is masked where it leads to
            no permitted answer.

    Raises:
        ValueError: fewer than two tokens, a number of answers that is no power, or a prompt without a permitted answer.

    Example:
        >>> tree = PrefixTree(rewards=torch.tensor([[0.0, 0.0, 1.0, 0.0]]), horizon=2)
        >>> tree.actions, tree.optimal.sum().item()  # the answer "1 0" is the one right answer
        (2, 1)
    """

    rewards: Tensor
    horizon: int = 1
    permitted: Tensor | None = None

    def __post_init__(self) -> None:
        require_count("horizon", self.horizon, least=1)
        require(self.rewards.dim() == 2, "rewards", "have shape [P, A**H]", tuple(self.rewards.shape))
        require(bool(self.rewards.isfinite().all()), "rewards", "be finite", "NaN or infinity")
        answers, actions = self.rewards.shape[1], self.actions
        require(actions >= 2, "rewards", "have at least two tokens to choose from", tuple(self.rewards.shape))
        require(actions**self.horizon == answers, "rewards", f"have A**{self.horizon} answers per prompt", answers)
        size = self.rewards.numel()
        require(size <= MOST_ANSWERS, "rewards", f"have at most {MOST_ANSWERS} answers", size, "Shorten the horizon.")
        if self.permitted is not None:
            if self.permitted.dtype != torch.bool:
                raise TypeError(f"`permitted` must be boolean, got {self.permitted.dtype}.")
            shape = tuple(self.rewards.shape)
            require(self.permitted.shape == shape, "permitted", f"have shape {shape}", tuple(self.permitted.shape))
            stuck = int((~self.permitted.any(-1)).sum())
            require(stuck == 0, "permitted", "permit an answer to every prompt", f"{stuck} prompts without one")
        object.__setattr__(self, "rewards", self.rewards.double())

    @property
    def prompts(self) -> int:
        """P."""
        return self.rewards.shape[0]

    @property
    def actions(self) -> int:
        """A."""
        return round(self.rewards.shape[1] ** (1 / self.horizon))

    @property
    def masks(self) -> Levels | None:
        """Allowed tokens per level, `[P, A^h, A]`; None if all are. Prefixes nobody can reach allow everything."""
        if self.permitted is None:
            return None
        levels = (
            self.permitted.view(self.prompts, -1, self.actions ** (self.horizon - h)) for h in range(self.horizon)
        )
        open_ = tuple(level.unflatten(-1, (self.actions, -1)).any(-1) for level in levels)
        return tuple(mask | ~mask.any(-1, keepdim=True) for mask in open_)

    @property
    def optimal(self) -> Tensor:
        """`[P, A**H]`: the answers of the greatest reward among the permitted ones."""
        rewards = self.rewards if self.permitted is None else self.rewards.masked_fill(~self.permitted, FORBIDDEN)
        return rewards == rewards.amax(-1, keepdim=True)

    def shape(self, level: int) -> tuple[int, int, int]:
        """Return the shape of the logits of a level, `(P, A^h, A)`."""
        return (self.prompts, self.actions**level, self.actions)

    def mdp(self) -> MDP:
        """Return the same problem as a general MDP; prompts come first, then level by level."""
        return _as_mdp(self)


def optimal_tree(*, prompts: int, actions: int, optimal: int, horizon: int = 1) -> PrefixTree:
    """Return trees whose first `optimal` answers are right (reward 1) and all others wrong (0).

    Raises:
        ValueError: no right answer, or more of them than answers.
    """
    require_count("actions", actions, least=2, remedy="With one action there is nothing to learn.")
    require_count("optimal", optimal, least=1, remedy="Without an optimal action there is nothing to find.")
    answers = actions ** require_count("horizon", horizon, least=1)
    require(optimal <= answers, "optimal", f"be at most the {answers} answers there are", optimal)
    rewards = torch.zeros(require_count("prompts", prompts, least=1), answers, dtype=torch.float64)
    rewards[:, :optimal] = 1
    return PrefixTree(rewards=rewards, horizon=horizon)


class TreeEvaluation(NamedTuple):
    """The value of a policy on each tree; levels run from the prompt down."""

    values: Levels
    """`[P, A^h]`, the entropies to come included."""
    q: Levels
    """`[P, A^h, A]`, without the entropy of the state itself."""
    reach: Levels
    """`[P, A^h]`, the chance to come by."""
    entropy: Tensor
    """`[P]`, expected sum over the answer."""


def tree_logprobs(tree: PrefixTree, logits: Levels) -> Levels:
    """Return log-probabilities per level, -inf for masked tokens."""
    shapes = [tuple(level.shape) for level in logits]
    wanted = [tree.shape(h) for h in range(tree.horizon)]
    require(shapes == wanted, "logits", f"have shapes {wanted}", shapes)
    masks = tree.masks
    if masks is None:
        return tuple(level.double().log_softmax(-1) for level in logits)
    return tuple(
        level.double().masked_fill(~mask, FORBIDDEN).log_softmax(-1) for level, mask in zip(logits, masks, strict=True)
    )


def evaluate_tree(tree: PrefixTree, logprobs: Levels, *, coef: float | Tensor = 0.0) -> TreeEvaluation:
    """Return the exact evaluation of a policy, differentiable in `logprobs`.

        q_h(s, a) = v_{h+1}(s a),   v_h(s) = sum_a pi(a|s) q_h(s, a) + coef * H(pi(.|s)),   v_H = reward

    Args:
        tree: the problem.
        logprobs: as `tree_logprobs` returns them.
        coef: of the entropy, at least 0; one number or `[P]`.
    """
    coef = torch.as_tensor(coef, dtype=torch.float64)
    require(bool((coef >= 0).all()), "coef", "be at least 0", coef.min().item())
    each = coef.view(-1, 1)
    value = tree.rewards
    values: list[Tensor] = []
    qs: list[Tensor] = []
    entropies = [_entropy(level) for level in logprobs]
    for logp, local in zip(reversed(logprobs), reversed(entropies), strict=True):
        q = value.view(logp.shape)
        value = (logp.exp() * q).sum(-1) + each * local
        qs.append(q)
        values.append(value)
    reach = _reach(logprobs)
    total = torch.stack([(p * local).sum(-1) for p, local in zip(reach, entropies, strict=True)]).sum(0)
    return TreeEvaluation(tuple(reversed(values)), tuple(reversed(qs)), reach, total)


def soft_tree_optimum(tree: PrefixTree, *, coef: float | Tensor) -> tuple[TreeEvaluation, Levels]:
    """Return the optimum of reward plus `coef` times entropy: its evaluation and its log-probabilities.

        v_h = coef * logsumexp(q_h / coef)        pi = softmax(q_h / coef)

    Raises:
        ValueError: `coef` not positive.
    """
    coef = torch.as_tensor(coef, dtype=torch.float64)
    require(bool((coef > 0).all()), "coef", "be positive", coef.min().item(), "Without entropy, read `tree.optimal`.")
    each = coef.view(-1, 1, 1)
    masks = tree.masks
    value = tree.rewards
    logprobs: list[Tensor] = []
    for h in reversed(range(tree.horizon)):
        q = value.view(tree.shape(h)) / each
        q = q if masks is None else q.masked_fill(~masks[h], FORBIDDEN)
        value = each.squeeze(-1) * q.logsumexp(-1)
        logprobs.append(q.log_softmax(-1))
    best = tuple(reversed(logprobs))
    return evaluate_tree(tree, best, coef=coef), best


def _entropy(logp: Tensor) -> Tensor:
    return -(logp.exp() * logp.masked_fill(logp == FORBIDDEN, 0)).sum(-1)


def _reach(logprobs: Levels) -> Levels:
    reach = [torch.ones(logprobs[0].shape[:2], dtype=torch.float64)]
    for logp in logprobs[:-1]:
        reach.append((reach[-1].unsqueeze(-1) * logp.exp()).flatten(1))
    return tuple(reach)


def _as_mdp(tree: PrefixTree) -> MDP:
    require(tree.permitted is None, "permitted", "be absent to turn a tree into an MDP", "a mask")
    sizes = [tree.prompts * tree.actions**h for h in range(tree.horizon)]
    states, actions = sum(sizes), tree.actions
    successors = torch.full((states, actions), END)
    inner = states - sizes[-1]
    successors[:inner] = tree.prompts + torch.arange(inner * actions).view(inner, actions)
    rewards = torch.zeros(states, actions, dtype=torch.float64)
    rewards[inner:] = tree.rewards.view(-1, actions)
    start = torch.zeros(states, dtype=torch.float64)
    start[: tree.prompts] = 1 / tree.prompts
    return make_mdp(rewards=rewards, successors=successors, start=start)
