"""Action redundancy: reward the entropy of what happens, not of what is done; copies of an action then count once."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from entrostat.errors import require, require_finite, sentence
from entrostat.lab._policy import entropy

# Chain rule on H(a, s' | s), with P^pi(s'|s) = sum_a pi(a|s) P(s'|s,a):
#     H(s'|s) = E_a H(s'|s,a)  +  H(a|s)  -  H(a|s,s')
#               model             action      redundancy: what the next state does not tell about the action
# As a reward: -log P^pi(s'|s), for E[grad log P^pi] = 0 leaves only the score-function term of its gradient.


class TransitionEntropy(NamedTuple):
    """The parts of the entropy of the next state, each `[...]` in nats: `total = model + action - redundancy`."""

    total: Tensor
    model: Tensor
    action: Tensor
    redundancy: Tensor


def transition_entropy(policy: Tensor, transitions: Tensor) -> TransitionEntropy:
    """Entropy of the next state, split into the model's noise, the policy's entropy and the actions' redundancy.

    Args:
        policy: `[..., A]` probabilities.
        transitions: `[..., A, S]`, the law of the next state after each action.

    Returns:
        The four entropies; differentiable.

    Raises:
        ValueError: the shapes do not fit.

    Reference:
        Baram, Tennenholtz, Mannor, "Action redundancy in reinforcement learning", arXiv 2102.11329 (abstract; the
        decomposition is the chain rule).

    Example:
        >>> import torch
        >>> two_copies = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> parts = transition_entropy(torch.full((3,), 1 / 3), two_copies)
        >>> round(float(parts.total), 3), round(float(parts.redundancy), 3)
        (0.637, 0.462)
    """
    rule = "have shape [..., A, S] with the A of `policy`"
    require(transitions.shape[-2] == policy.shape[-1], "transitions", rule, tuple(transitions.shape))
    joint = policy.unsqueeze(-1) * transitions
    following = joint.sum(-2)
    model = (policy * entropy(transitions)).sum(-1)
    action = entropy(policy)
    # H(a|s,s') = H(a, s') - H(s')
    redundancy = entropy(joint.flatten(-2)) - entropy(following)
    return TransitionEntropy(entropy(following), model, action, redundancy)


def outcome_bonus(outcomes: Tensor, group_ids: Tensor, *, smoothing: float = 1.0) -> Tensor:
    """Bonus of each rollout for how rare its outcome is among the other rollouts of its prompt.

        -log ( (c_{-i} + smoothing) / (n - 1 + smoothing * k) )

    `c_{-i}` counts the other rollouts of the group with the same outcome, `n` the group, `k` its distinct outcomes. An
    outcome is what matters about an answer: the final number, the behaviour of executed code. To be added to rewards.

    Args:
        outcomes: `[B]` whole numbers, equal for equal outcomes.
        group_ids: `[B]` whole numbers, the prompt of each rollout.
        smoothing: what each outcome counts beforehand, positive: a rollout's own outcome may be unseen elsewhere.

    Returns:
        `[B]` float64, nats, at least 0; exactly 0 for a group whose rollouts all agree.

    Raises:
        TypeError: `outcomes` or `group_ids` holds no whole numbers.
        ValueError: shapes differ, or `smoothing` not positive.

    Reference:
        Baram, Tennenholtz, Mannor, arXiv 2102.11329: deterministic dynamics, one step, the answer as the next state.

    Example:
        >>> import torch
        >>> bonus = outcome_bonus(torch.tensor([7, 7, 7, 5]), torch.zeros(4, dtype=torch.long))
        >>> [round(b, 3) for b in bonus.tolist()]
        [0.511, 0.511, 0.511, 1.609]
    """
    require(require_finite("smoothing", smoothing) > 0, "smoothing", "be positive", smoothing)
    same_group, same_outcome = _same(outcomes, group_ids)
    others = same_outcome.sum(-1) - 1.0
    # Each distinct outcome of the group adds up to one when every rollout adds one over its own count.
    distinct = (same_group / same_outcome.sum(-1)).sum(-1)
    size = same_group.sum(-1)
    return ((size - 1 + smoothing * distinct) / (others + smoothing)).log()


def outcome_entropy(outcomes: Tensor, group_ids: Tensor) -> Tensor:
    """Mean over groups of the empirical entropy of their outcomes, nats; weighted by group size.

    The entropy of a sample is low by about `(k - 1) / (2 n)` for k outcomes among n rollouts.

    Example:
        >>> import torch
        >>> round(float(outcome_entropy(torch.tensor([7, 5, 7, 7]), torch.tensor([0, 0, 1, 1]))), 4)  # (log 2 + 0) / 2
        0.3466
    """
    same_group, same_outcome = _same(outcomes, group_ids)
    return (same_group.sum(-1) / same_outcome.sum(-1)).log().mean()


def redundancy(sequence_logprobs: Tensor, outcomes: Tensor, group_ids: Tensor) -> Tensor:
    """Entropy of whole answers minus entropy of their outcomes: how much of the diversity is mere wording, nats.

    Args:
        sequence_logprobs: `[B]` log-probability of each answer.
        outcomes: `[B]`, as for `outcome_bonus`.
        group_ids: `[B]`.

    Example:
        >>> import torch
        >>> answers = torch.full((2,), -3.0)
        >>> float(redundancy(answers, torch.tensor([7, 7]), torch.tensor([0, 0])))
        3.0
    """
    return -sequence_logprobs.double().mean() - outcome_entropy(outcomes, group_ids)


def _same(outcomes: Tensor, group_ids: Tensor) -> tuple[Tensor, Tensor]:
    for name, value in (("outcomes", outcomes), ("group_ids", group_ids)):
        if value.is_floating_point():
            raise TypeError(sentence(name, "hold whole numbers", value.dtype))
    fits = outcomes.dim() == 1 and outcomes.shape == group_ids.shape
    require(fits, "group_ids", f"have the shape [B] of `outcomes`, {tuple(outcomes.shape)}", tuple(group_ids.shape))
    same_group = group_ids.unsqueeze(-1) == group_ids
    same_outcome = same_group & (outcomes.unsqueeze(-1) == outcomes)
    return same_group.double(), same_outcome.double()
