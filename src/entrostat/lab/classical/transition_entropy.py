"""Action redundancy: reward the entropy of outcomes, not of actions; copies of an action then count once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_finite, sentence
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._policy import entropy, softmax


# Chain rule on H(a, s' | s), with P^pi(s'|s) = sum_a pi(a|s) P(s'|s,a):
#     H(s'|s) = E_a H(s'|s,a)  +  H(a|s)  -  H(a|s,s')
#               model             action      redundancy: entropy of the action that the next state leaves
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
    outcome is the part of an answer that matters: the final number, the behaviour of code. To be added to rewards.

    Args:
        outcomes: `[B]` whole numbers, equal for equal outcomes.
        group_ids: `[B]` whole numbers, the prompt of each rollout.
        smoothing: initial count of each outcome, positive: a rollout's own outcome may be unseen elsewhere.

    Returns:
        `[B]` float64, nats, at least 0; exactly 0 for a group whose rollouts all agree.

    Raises:
        TypeError: `outcomes` or `group_ids` holds no whole numbers.
        ValueError: shapes differ, or `smoothing` not positive.

    Reference:
        Baram, Tennenholtz, Mannor, arXiv 2102.11329: deterministic dynamics, one step, the answer as the next state.

    Example:
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


# [53] Paying for the entropy of the next state makes copies of an action count once.

TEMPERATURE = 0.5
REWARDS = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)


def outcomes_of(copies: tuple[int, int, int]) -> Tensor:
    """Return `[A, 3]`: which of three outcomes each action leads to, for a number of copies of each."""
    return torch.eye(3, dtype=torch.float64).repeat_interleave(torch.tensor(copies), dim=0)


def action_optimum(leads: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Return the masses `[3]` on the outcomes under the optimum of reward plus action entropy."""
    return softmax(leads @ REWARDS / temperature) @ leads


def transition_optimum(leads: Tensor, *, steps: int, temperature: float = TEMPERATURE) -> Tensor:
    """Return the masses that exact policy gradient on `r - temperature log P^pi(s')` reaches."""
    logits = torch.zeros(len(leads), dtype=torch.float64)
    for _ in range(steps):
        policy = softmax(logits)
        reward = leads @ (REWARDS - temperature * (policy @ leads).log())
        logits = logits + policy * (reward - policy @ reward)
    return softmax(logits) @ leads


def decomposition_error(seed: int) -> float:
    """Return the error of the chain rule for a random policy and random dynamics."""
    rng = torch.Generator().manual_seed(seed)
    policy = torch.randn(4, generator=rng, dtype=torch.float64).softmax(-1)
    parts = transition_entropy(policy, torch.randn(4, 6, generator=rng, dtype=torch.float64).mul(2).softmax(-1))
    return float((parts.total - parts.model - parts.action + parts.redundancy).abs())


@claim("classical", source="[53] Baram, Tennenholtz, Mannor 2021, arXiv 2102.11329 (abstract only; equations derived)")
def classical_transition_entropy(quick: bool) -> Outcome:
    """Rewarding the entropy of the next state gives the softmax over outcomes, however many copies of an action there
    are; rewarding action entropy drifts to the copied one.
    """
    # Use ten actions of which eight are copies, then 3 to 50 copies.
    leads = outcomes_of((8, 1, 1))
    uniform = torch.full((10,), 0.1, dtype=torch.float64)
    steps = 300 if quick else 1500
    reached, wanted = transition_optimum(leads, steps=steps), softmax(REWARDS / TEMPERATURE)
    error = float((reached - wanted).abs().max())
    chain = max(decomposition_error(s) for s in range(20))
    copies = [1, 2, 4, 8, 16, 50]
    counted = [outcomes_of((n, 1, 1)) for n in copies]
    best = [float(action_optimum(each)[2]) for each in counted]
    held = [float(transition_optimum(each, steps=steps)[2]) for each in counted]
    action = action_optimum(leads)
    return Outcome(
        verdict="holds" if error < 1e-3 and chain < 1e-12 and max(held) - min(held) < 2e-3 else "does not hold",
        figures={
            "no reward, uniform actions: next-state entropy": float(transition_entropy(uniform, leads).total),
            "no reward, largest next-state entropy": float(torch.tensor(3.0).log()),
            "action entropy: mass on the worst outcome (8 copies)": float(action[0]),
            "action entropy: mass on the best outcome": float(action[2]),
            "transition entropy: mass on the worst outcome (8 copies)": float(reached[0]),
            "transition entropy: mass on the best outcome": float(reached[2]),
            "distance from the softmax over outcomes": error,
            "largest error of the decomposition": chain,
        },
        seeds=tuple(range(20)),
        plots=(
            Plot(
                title="Copies of the worst action",
                x_label="copies",
                y_label="probability of the best outcome",
                series=(
                    Series(name="action entropy", x=copies, y=best),
                    Series(name="transition entropy", x=copies, y=held),
                ),
                log_x=True,
            ),
        ),
        remarks="Rewards 0, 0.5, 1 for three outcomes, temperature 0.5. The paper's own estimators were not seen.",
    )


# [53] The same for rollouts: a leave-one-out bonus on outcomes spreads answers, token entropy spreads wording.

# Ten wordings of one right answer, two more right answers of one wording each, and a wrong one.
OUTCOME = torch.tensor([0] * 10 + [1, 2, 3])
RIGHT = torch.tensor([1.0] * 12 + [0.0], dtype=torch.float64)
GROUP = 16


def train(bonus: str, *, steps: int, seed: int) -> tuple[Tensor, float]:
    """Train by sampled groups; return the masses `[4]` on the outcomes and the redundancy of a thousand rollouts."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.zeros(len(OUTCOME), dtype=torch.float64)
    group_ids = torch.arange(16).repeat_interleave(GROUP)
    for _ in range(steps):
        policy = softmax(logits)
        drawn = torch.multinomial(policy, len(group_ids), replacement=True, generator=rng)
        surprisal, outcomes = -policy.log()[drawn], OUTCOME[drawn]
        paid = RIGHT[drawn] + 0.3 * (outcome_bonus(outcomes, group_ids) if bonus == "outcome" else surprisal)
        advantage = paid - paid.view(-1, GROUP).mean(-1).repeat_interleave(GROUP)
        score = torch.zeros_like(logits).scatter_add(0, drawn, advantage) / len(drawn)
        logits = logits + 2.0 * (score - policy * advantage.mean())
    policy = softmax(logits)
    drawn = torch.multinomial(policy, 1024, replacement=True, generator=rng)
    extra = redundancy(policy.log()[drawn], OUTCOME[drawn], torch.zeros(1024, dtype=torch.long))
    return torch.zeros(4, dtype=torch.float64).scatter_add(0, OUTCOME, policy), float(extra)


@claim("classical", source="[53] Baram, Tennenholtz, Mannor 2021, arXiv 2102.11329 (our transfer to rollout groups)")
def classical_outcome_bonus(quick: bool) -> Outcome:
    """A leave-one-out bonus on the outcome of a rollout spreads a policy over different right answers; a bonus on the
    sequence's own surprisal spreads it over wordings of one.
    """
    # Train a bandit over answers with either bonus.
    seeds = tuple(range(2 if quick else 5))
    steps = 120 if quick else 300
    runs = {kind: [train(kind, steps=steps, seed=s) for s in seeds] for kind in ("sequence", "outcome")}
    mass = {kind: torch.stack([m for m, _ in r]).mean(0) for kind, r in runs.items()}
    extra = {kind: sum(e for _, e in r) / len(r) for kind, r in runs.items()}
    spread = {kind: float(torch.stack([entropy(m) for m, _ in r]).mean()) for kind, r in runs.items()}
    ahead = spread["outcome"] > spread["sequence"] + 0.3
    bars = tuple(Series(name=f"{k} bonus", x=[0.0, 1.0, 2.0, 3.0], y=m.tolist(), points=True) for k, m in mass.items())
    return Outcome(
        verdict="holds" if ahead and extra["sequence"] > 0 else "does not hold",
        figures={
            "sequence bonus: entropy of the outcomes": spread["sequence"],
            "outcome bonus: entropy of the outcomes": spread["outcome"],
            "sequence bonus: mass on the much-worded answer": float(mass["sequence"][0]),
            "outcome bonus: mass on the much-worded answer": float(mass["outcome"][0]),
            "sequence bonus: redundancy (nats)": extra["sequence"],
            "outcome bonus: redundancy (nats)": extra["outcome"],
            "sequence bonus: accuracy": 1 - float(mass["sequence"][3]),
            "outcome bonus: accuracy": 1 - float(mass["outcome"][3]),
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Where the probability goes (0: ten wordings, 1 and 2: one each, 3: wrong)",
                x_label="outcome",
                y_label="probability",
                series=bars,
            ),
        ),
        remarks="Groups of 16 rollouts, temperature 0.3, sampled policy gradient with the group's mean as baseline.",
    )
