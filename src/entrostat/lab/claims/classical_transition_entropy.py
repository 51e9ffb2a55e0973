"""[53] Paying for the entropy of the next state makes copies of an action count once."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, main, softmax
from entrostat.lab.classical import transition_entropy

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


def check(quick: bool) -> Outcome:
    """Use ten actions of which eight are copies, then 3 to 50 copies."""
    leads = outcomes_of((8, 1, 1))
    uniform = torch.full((10,), 0.1, dtype=torch.float64)
    steps = 300 if quick else 1500
    reached, wanted = transition_optimum(leads, steps=steps), softmax(REWARDS / TEMPERATURE)
    error = float((reached - wanted).abs().max())
    chain = max(decomposition_error(s) for s in range(20))
    copies = [1, 2, 4, 8, 16, 50]
    best = {n: float(action_optimum(outcomes_of((n, 1, 1)))[2]) for n in copies}
    held = [float(transition_optimum(outcomes_of((n, 1, 1)), steps=steps)[2]) for n in copies]
    action = action_optimum(leads)
    xs = [float(n) for n in copies]
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
                    Series(name="action entropy", x=xs, y=[best[n] for n in copies]),
                    Series(name="transition entropy", x=xs, y=held),
                ),
                log_x=True,
            ),
        ),
        remarks="Rewards 0, 0.5, 1 for three outcomes, temperature 0.5. The paper's own estimators were not seen.",
    )


CLAIM = Claim(
    name="classical_transition_entropy",
    statement=(
        "Rewarding the entropy of the next state gives the softmax over outcomes, however many copies of an action "
        "there are; rewarding action entropy drifts to the copied one."
    ),
    source="[53] Baram, Tennenholtz, Mannor 2021, arXiv 2102.11329 (abstract only; equations derived)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
