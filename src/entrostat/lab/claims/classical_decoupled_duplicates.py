"""[51] What decoupling does not do: it is not invariant to duplicated actions."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, main, softmax
from entrostat.lab.classical import decoupled_temperature

VALUES = (1.0, 0.5, 0.0)
TEMPERATURE = 0.5


def grouped_policy(copies: tuple[int, int, int], *, decoupled: bool) -> Tensor:
    """Return the soft-optimal mass `[3]` on three actions of value 1, 0.5, 0, each present in some number of copies."""
    group = torch.repeat_interleave(torch.arange(3), torch.tensor(copies))
    tau = decoupled_temperature(torch.tensor(len(group)), TEMPERATURE) if decoupled else torch.tensor(TEMPERATURE)
    policy = softmax(torch.tensor(VALUES, dtype=torch.float64)[group] / tau)
    return torch.zeros(3, dtype=torch.float64).scatter_add(0, group, policy)


def check(quick: bool) -> Outcome:
    """Duplicate every action, then the worst one only. It is exact, so quick changes nothing."""
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


CLAIM = Claim(
    name="classical_decoupled_duplicates",
    statement=(
        "Copying every action leaves the plain soft policy unchanged and makes the decoupled one greedier; copying the "
        "worst action alone feeds it under the plain bonus and starves it under the decoupled one."
    ),
    source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (checked by us; not what the paper's title suggests)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
