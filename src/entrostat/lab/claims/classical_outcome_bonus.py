"""[53] The same for rollouts: a leave-one-out bonus on outcomes spreads answers, token entropy spreads wording."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, entropy, main, softmax
from entrostat.lab.classical import outcome_bonus, redundancy

# Ten wordings of one right answer, two more right answers of one wording each, and a wrong one.
OUTCOME = torch.tensor([0] * 10 + [1, 2, 3])
RIGHT = torch.tensor([1.0] * 12 + [0.0], dtype=torch.float64)
TEMPERATURE = 0.3
GROUP = 16


def train(bonus: str, *, steps: int, seed: int) -> tuple[Tensor, float]:
    """Train by sampled groups; return the masses `[4]` on the outcomes and the redundancy of a thousand rollouts."""
    rng = torch.Generator().manual_seed(seed)
    logits = torch.zeros(len(OUTCOME), dtype=torch.float64)
    group_ids = torch.arange(16).repeat_interleave(GROUP)
    for _ in range(steps):
        policy = softmax(logits)
        drawn = torch.multinomial(policy, len(group_ids), replacement=True, generator=rng)
        paid = RIGHT[drawn] + TEMPERATURE * _bonus(bonus, policy.log()[drawn], OUTCOME[drawn], group_ids)
        advantage = paid - paid.view(-1, GROUP).mean(-1).repeat_interleave(GROUP)
        score = torch.zeros_like(logits).scatter_add(0, drawn, advantage) / len(drawn)
        logits = logits + 2.0 * (score - policy * advantage.mean())
    policy = softmax(logits)
    drawn = torch.multinomial(policy, 1024, replacement=True, generator=rng)
    extra = redundancy(policy.log()[drawn], OUTCOME[drawn], torch.zeros(1024, dtype=torch.long))
    return torch.zeros(4, dtype=torch.float64).scatter_add(0, OUTCOME, policy), float(extra)


def _bonus(kind: str, logprobs: Tensor, outcomes: Tensor, group_ids: Tensor) -> Tensor:
    return outcome_bonus(outcomes, group_ids) if kind == "outcome" else -logprobs


def check(quick: bool) -> Outcome:
    """Train a bandit over answers with either bonus."""
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


CLAIM = Claim(
    name="classical_outcome_bonus",
    statement=(
        "A leave-one-out bonus on the outcome of a rollout spreads a policy over different right answers; a bonus on "
        "the sequence's own surprisal spreads it over wordings of one."
    ),
    source="[53] Baram, Tennenholtz, Mannor 2021, arXiv 2102.11329 (our transfer to rollout groups)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
