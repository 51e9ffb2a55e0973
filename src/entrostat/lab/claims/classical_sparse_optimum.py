"""[52] The optimum of reward plus Tsallis entropy is a sparsemax, whose support grows with the temperature."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, evaluate, main, sparsemax, tsallis_value_iteration
from entrostat.lab.claims.classical_multilevel import random_mdp
from entrostat.lab.classical import sparse_value
from entrostat.measures import tsallis


def objective(policy: Tensor, q: Tensor, temperature: float) -> Tensor:
    """Return `p.q + temperature * S_2(p)` with the library's own measure."""
    return (policy * q).sum(-1) + temperature * tsallis(policy.log(), q=2.0)


def optimality(temperature: float, *, rivals: int, rng: torch.Generator) -> tuple[float, float]:
    """Return the error of the closed form and the least shortfall of random distributions against it."""
    q = torch.randn(8, generator=rng, dtype=torch.float64)
    value = sparse_value(q, temperature=temperature)
    error = float((objective(sparsemax(q / temperature), q, temperature) - value).abs())
    # Exponential weights to a random power: from nearly uniform to nearly certain distributions.
    weights = torch.rand(rivals, 8, generator=rng, dtype=torch.float64).log().neg()
    weights = weights ** (4 * torch.rand(rivals, 1, generator=rng, dtype=torch.float64))
    rival = weights / weights.sum(-1, keepdim=True)
    return error, float((value - objective(rival, q, temperature)).min())


def support_sizes(temperatures: list[float], *, actions: int, rng: torch.Generator) -> list[float]:
    """Return how many of `actions` normally distributed values keep probability."""
    q = torch.randn(actions, generator=rng, dtype=torch.float64)
    return [float((sparsemax(q / t) > 0).sum()) for t in temperatures]


def check(quick: bool) -> Outcome:
    """Compare the closed form with random distributions, and with policy evaluation on a random MDP."""
    rng = torch.Generator().manual_seed(0)
    trials = [optimality(t, rivals=2000 if quick else 50_000, rng=rng) for t in (0.1, 0.5, 1.0, 3.0)]
    error, shortfall = max(t[0] for t in trials), min(t[1] for t in trials)
    temperatures = [0.01 * 2**k for k in range(12)]
    sizes = support_sizes(temperatures, actions=1000, rng=rng)
    mdp = random_mdp(1)
    best = tsallis_value_iteration(mdp, coef=0.3)
    again = evaluate(mdp, best.policy, coef=0.3, regulariser="tsallis").values
    bellman = float((best.values - again).abs().max())
    grows = sizes == sorted(sizes) and sizes[-1] > 10 * sizes[0]
    return Outcome(
        verdict="holds" if error < 1e-12 and shortfall > 0 and bellman < 1e-9 and grows else "does not hold",
        figures={
            "largest error of the closed form": error,
            "least shortfall of a random distribution": shortfall,
            "MDP: optimal value against its policy's value": bellman,
            "support of 1000 actions at temperature 0.01": sizes[0],
            "support of 1000 actions at temperature 20.5": sizes[-1],
        },
        seeds=(0,),
        plots=(
            Plot(
                title="Actions that keep probability under a sparse optimum",
                x_label="temperature",
                y_label="actions in the support, of 1000",
                series=(Series(name="normally distributed values", x=temperatures, y=sizes),),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks="The entropy is the library's `measures.tsallis(q=2)`, (1 - sum p^2)/2.",
    )


CLAIM = Claim(
    name="classical_sparse_optimum",
    statement=(
        "Under the Tsallis entropy of index 2 the optimal policy is the sparsemax of the values over the temperature, "
        "with a closed-form value and a support that grows with the temperature."
    ),
    source="[52] Choy, Lee, Oh 2020 (abstract only; formulas of Lee, Choi, Oh 2018 from memory)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
