"""[51] Two equally good branches: the plain bonus prefers the one with more actions below it."""

from __future__ import annotations

from torch import Tensor

from entrostat.lab import Claim, Outcome, main, soft_value_iteration
from entrostat.lab.classical import decoupled_temperature, two_branches

DISCOUNT = 0.9
TEMPERATURE = 0.5


def left_probability(left: int, right: int, *, decoupled: bool) -> float:
    """Return the probability of the left branch at the soft optimum."""
    mdp = two_branches(left, right, discount=DISCOUNT)
    coef: float | Tensor = decoupled_temperature(mdp.mask.sum(-1), TEMPERATURE) if decoupled else TEMPERATURE
    return float(soft_value_iteration(mdp, coef=coef).policy[0, 0])


def check(quick: bool) -> Outcome:
    """Compare with the closed form `nL^g / (nL^g + nR^g)`."""
    pairs = [(2, 2), (8, 2), (64, 2)] + ([] if quick else [(3, 50), (1000, 10)])
    figures: dict[str, float | str] = {}
    error = 0.0
    for left, right in pairs:
        plain, decoupled = (left_probability(left, right, decoupled=d) for d in (False, True))
        closed = left**DISCOUNT / (left**DISCOUNT + right**DISCOUNT)
        error = max(error, abs(plain - closed), abs(decoupled - 0.5))
        figures[f"left branch at {left} against {right} actions, entropy"] = plain
        figures[f"left branch at {left} against {right} actions, decoupled"] = decoupled
    figures["largest error against the closed forms"] = error
    return Outcome(
        verdict="holds" if error < 1e-9 else "does not hold",
        figures=figures,
        remarks="All rewards are equal, so every preference for a branch is the regulariser's own.",
    )


CLAIM = Claim(
    name="classical_decoupled_branches",
    statement=(
        "The plain entropy bonus is pulled towards states with more actions, pi(L)/pi(R) = (nL/nR)^discount at equal "
        "rewards; the decoupled bonus is not."
    ),
    source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (closed form derived)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
