"""[51] Escaping a grid: the plain bonus makes the way out longer with every dimension, the decoupled one does not."""

from __future__ import annotations

import itertools

from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, main, occupancy, soft_value_iteration
from entrostat.lab.classical import decoupled_temperature, escape_grid

TEMPERATURE = 0.4


def escape_length(dimensions: int, *, decoupled: bool) -> float:
    """Return the expected number of steps to the far corner under the soft optimum."""
    mdp = escape_grid(dimensions)
    coef: float | Tensor = decoupled_temperature(mdp.mask.sum(-1), TEMPERATURE) if decoupled else TEMPERATURE
    return float(occupancy(mdp, soft_value_iteration(mdp, coef=coef, tolerance=1e-9).policy).sum())


def check(quick: bool) -> Outcome:
    """Run it in 2 to 6 dimensions (quick: to 5)."""
    sizes = list(range(2, 6 if quick else 7))
    shortest = [3.0 * n for n in sizes]
    plain = [escape_length(n, decoupled=False) for n in sizes]
    decoupled = [escape_length(n, decoupled=True) for n in sizes]
    close = all(d - s < 0.25 for d, s in zip(decoupled, shortest, strict=True))
    grows = all(b - 3 > a for a, b in itertools.pairwise(plain))
    lines = (("entropy", plain), ("decoupled entropy", decoupled), ("shortest", shortest))
    figures = {f"{name}, n={n}": y for name, ys in lines for n, y in zip(sizes, ys, strict=True)}
    return Outcome(
        verdict="holds" if close and grows and plain[-1] > 1.9 * shortest[-1] else "does not hold",
        figures=figures,
        plots=(
            Plot(
                title="Length of an episode on the escape grid",
                x_label="dimensions of the grid (2n actions)",
                y_label="expected steps to the exit",
                series=tuple(
                    Series(name=name, x=[float(n) for n in sizes], y=ys, reference=name == "shortest")
                    for name, ys in lines
                ),
                log_y=True,
            ),
        ),
        remarks="Side 4, reward -1 a step, no discount, temperature 0.4. All lengths are exact.",
    )


CLAIM = Claim(
    name="classical_decoupled_escape",
    statement=(
        "At one temperature the entropy-regularised optimum takes ever longer to leave a grid as actions are added; "
        "with the temperature divided by log|A| it stays near the shortest way."
    ),
    source="[51] Mohammadpour et al. 2024, arXiv 2406.05953 (authors' code read)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
