"""[51] A bonus per step that outweighs the cost of a step makes episodes endless: the length guard."""

from __future__ import annotations

import math

from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, main, occupancy, soft_value_iteration
from entrostat.lab.classical import decoupled_temperature, waiting_room

ACTIONS = 64
COST = 1.0


def soft_length(temperature: float, *, actions: int = ACTIONS, decoupled: bool) -> float:
    """Return the expected length of the soft optimum in the waiting room; infinite where iteration diverges."""
    mdp = waiting_room(actions, cost=COST)
    coef: float | Tensor = decoupled_temperature(mdp.mask.sum(-1), temperature) if decoupled else temperature
    try:
        solution = soft_value_iteration(mdp, coef=coef, max_sweeps=1000)
    except ValueError:
        return math.inf
    return float(occupancy(mdp, solution.policy).sum())


def check(quick: bool) -> Outcome:
    """Scan the temperature across the threshold."""
    threshold = COST / math.log(ACTIONS - 1)
    shares = [0.2, 0.9, 0.97, 1.03, 1.2] if quick else [0.1 * k for k in range(1, 10)] + [0.95, 0.97, 1.03, 1.1, 1.3]
    plain = [soft_length(share * threshold, decoupled=False) for share in shares]
    decoupled = [soft_length(share * threshold, decoupled=True) for share in shares]
    finite_below = all(math.isfinite(y) == (s < 1) for s, y in zip(shares, plain, strict=True))
    short = all(y < 1.2 for y in decoupled)
    below = [(s, y) for s, y in zip(shares, plain, strict=True) if math.isfinite(y)]
    return Outcome(
        verdict="holds" if finite_below and short else "does not hold",
        figures={
            "threshold of the temperature, cost / log(|A| - 1)": threshold,
            "length at 0.97 of the threshold": soft_length(0.97 * threshold, decoupled=False),
            "length at 1.03 of the threshold": soft_length(1.03 * threshold, decoupled=False),
            "length at temperature 0.4": soft_length(0.4, decoupled=False),
            "decoupled length at temperature 0.4": soft_length(0.4, decoupled=True),
        },
        plots=(
            Plot(
                title="One exit among 64 actions",
                x_label="temperature / threshold",
                y_label="expected steps",
                series=(
                    Series(name="entropy (endless from 1 on)", x=[s for s, _ in below], y=[y for _, y in below]),
                    Series(name="decoupled entropy", x=shares, y=decoupled),
                ),
                log_y=True,
            ),
        ),
        remarks="No discount, each step costs 1. A length is called infinite where value iteration does not converge.",
    )


CLAIM = Claim(
    name="classical_decoupled_threshold",
    statement=(
        "Without discount, an entropy bonus of temperature tau per step makes the optimal episode endless exactly when "
        "tau log(|A| - 1) reaches the cost of a step."
    ),
    source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (threshold derived)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
