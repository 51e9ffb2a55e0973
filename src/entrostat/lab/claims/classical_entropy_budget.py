"""[61] A fixed budget of entropy moves to the groups it does not hurt, and no nat of it is lost."""

from __future__ import annotations

import math

import torch

from entrostat.lab import Claim, Outcome, Plot, Series, entropy, main, softmax
from entrostat.lab.classical import Ader, AderState


def moved_budget(sensitivity: tuple[float, float], *, updates: int = 200) -> list[AderState]:
    """Return the states while two groups of five actions keep this sensitivity."""
    law = Ader(allowed=(5, 5), rate=0.0)
    states = [law.init()]
    for _ in range(updates):
        states.append(law.update(states[-1], sensitivity=sensitivity, entropy=(0.2, 0.2)))
    return states


def authors_shares(sensitivity: tuple[float, float]) -> list[float]:
    """Return the shares by the authors' normalisation: `b = -c`, `softmax(-b / (0.1 max b + 1e-5))`."""
    loss = -torch.tensor(sensitivity, dtype=torch.float64)
    return softmax(-loss / (0.1 * loss.max() + 1e-5)).tolist()


def closed_loop(*, updates: int) -> tuple[list[float], AderState]:
    """Train two softmax policies of five actions under the law; return their entropies and the last state.

    Each maximises reward plus its coefficient times its entropy; the first has one action much better than the others,
    the second all but tied ones, so entropy costs the first far more. Its sensitivity is the exact slope of the reward
    along the gradient of the entropy.
    """
    rewards = torch.tensor([[1.0, 0, 0, 0, 0], [0.02, 0, 0, 0, 0]], dtype=torch.float64)
    law = Ader(allowed=(5, 5), rate=0.05, ratio=0.3)
    state, logits = law.init(), torch.zeros(2, 5, dtype=torch.float64)
    entropies = [math.log(5)] * 2
    for _ in range(updates):
        z = logits.clone().requires_grad_()
        policy = softmax(z)
        spread, paid = entropy(policy), (policy * rewards).sum(-1)
        (up,) = torch.autograd.grad(spread.sum(), z, retain_graph=True)
        (gain,) = torch.autograd.grad(paid.sum(), z)
        slope = (up * gain).sum(-1) / up.square().sum(-1).clamp(min=1e-12)
        entropies = spread.tolist()
        state = law.update(state, sensitivity=slope.tolist(), entropy=entropies)
        logits = logits + 10 * (gain + torch.tensor(state.coefs, dtype=torch.float64).unsqueeze(-1) * up)
    return entropies, state


def check(quick: bool) -> Outcome:
    """Move a budget, try the sign hazard, and close the loop."""
    states = moved_budget((-0.8, -0.05))
    budget = sum(states[0].targets)
    lost = max(abs(sum(s.targets) - budget) for s in states)
    helped = moved_budget((0.8, 0.05))[-1].targets
    entropies, last = closed_loop(updates=300 if quick else 1500)
    followed = max(abs(h - t) for h, t in zip(entropies, last.targets, strict=True))
    ends = states[-1].targets
    steps = [float(k) for k in range(0, 61, 3)]
    lines = tuple(Series(name=n, x=steps, y=[states[int(k)].targets[i] for k in steps]) for i, n in enumerate(GROUPS))
    return Outcome(
        verdict="holds" if lost < 1e-12 and ends[0] < 1e-3 and helped[0] > helped[1] else "does not hold",
        figures={
            "targets at the start": states[0].targets[0],
            "target of the group hurt by entropy (-0.8 a nat), after 200 updates": ends[0],
            "target of the group hardly touched (-0.05)": ends[1],
            "largest change of the sum": lost,
            "entropy helps both (0.8, 0.05): share of the first": helped[0] / sum(helped),
            "the same by the authors' normalisation": authors_shares((0.8, 0.05))[0],
            "closed loop: target of the group that entropy hurts": last.targets[0],
            "closed loop: target of the other": last.targets[1],
            "closed loop: largest distance of an entropy from its target": followed,
        },
        plots=(
            Plot(
                title="Two groups share a budget of entropy",
                x_label="update",
                y_label="entropy target (nats)",
                series=lines,
            ),
        ),
        remarks=(
            "The authors divide by 0.1 max(-sensitivity): negative, hence the wrong way round, when entropy helps "
            "every group. Targets are capped at log n here, which their code lacks."
        ),
    )


GROUPS = ("hurt by entropy", "hardly touched")

CLAIM = Claim(
    name="classical_entropy_budget",
    statement=(
        "ADER's update of per-group entropy targets conserves their sum exactly and moves the budget from the group "
        "whose return entropy hurts to the one it does not."
    ),
    source="[61] Kim and Sung 2023 (authors' code read; cap and sign repair ours)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
