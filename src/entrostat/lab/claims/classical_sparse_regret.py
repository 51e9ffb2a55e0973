"""[52] What entropy costs in reward: bounded for sparse Tsallis entropy, growing with log|A| for Shannon's."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, main, softmax, sparsemax
from entrostat.lab.classical import sparse_regret_bound, sparse_value

TEMPERATURE = 0.5


def regrets(actions: int, seed: int) -> tuple[float, float]:
    """Return the regret of the sparse and of the soft optimum where `actions` values are normally distributed."""
    q = torch.randn(actions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return _regret(q, sparsemax(q / TEMPERATURE)), _regret(q, softmax(q / TEMPERATURE))


def _regret(q: Tensor, policy: Tensor) -> float:
    return float(q.max() - policy @ q)


def check(quick: bool) -> Outcome:
    """Measure regrets over numbers of actions up to 32,768."""
    seeds = tuple(range(3 if quick else 20))
    actions = [4, 64, 1024, 32768]
    table = torch.tensor([[regrets(n, s) for s in seeds] for n in actions])
    sparse, soft = table.mean(1).unbind(-1)
    bounds = torch.tensor([sparse_regret_bound(n, temperature=TEMPERATURE) for n in actions])
    within = bool((table[..., 0] <= bounds[:, None]).all())
    tied = {n: float(sparse_value(torch.zeros(n), temperature=TEMPERATURE)) for n in (2, 1000)}
    exact = all(abs(v - sparse_regret_bound(n, temperature=TEMPERATURE)) < 1e-12 for n, v in tied.items())
    xs = [float(n) for n in actions]
    return Outcome(
        verdict="holds" if within and exact and soft[-1] > 10 * sparse[-1] else "does not hold",
        figures={
            "sparse regret at 32768 actions": float(sparse[-1]),
            "its bound, alpha (|A| - 1) / (2 |A|)": float(bounds[-1]),
            "softmax regret at 32768 actions": float(soft[-1]),
            "its bound, alpha log |A|": TEMPERATURE * math.log(actions[-1]),
            "sparse bonus with 2 tied actions": tied[2],
            "sparse bonus with 1000 tied actions": tied[1000],
            "Shannon bonus with 1000 tied actions": TEMPERATURE * math.log(1000),
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Reward given away by the regularised optimum",
                x_label="actions",
                y_label="regret per step",
                series=(
                    Series(name="sparse Tsallis", x=xs, y=sparse.tolist()),
                    Series(name="its bound", x=xs, y=bounds.tolist(), reference=True),
                    Series(name="Shannon", x=xs, y=soft.tolist()),
                ),
                log_x=True,
            ),
        ),
        remarks="Temperature 0.5, one state. On an MDP the bound is divided by 1 - discount (from memory, not tested).",
    )


CLAIM = Claim(
    name="classical_sparse_regret",
    statement=(
        "Sparse Tsallis regularisation gives away at most alpha (|A| - 1) / (2 |A|) of reward per step, however many "
        "actions there are; Shannon's gives away more as actions are added."
    ),
    source="[52] Choy, Lee, Oh 2020 (abstract only; bound of Lee, Choi, Oh 2018 from memory)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
