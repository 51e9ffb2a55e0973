"""[71] A mixture of checkpoints is drawn once per episode; averaging action probabilities is something else."""

from __future__ import annotations

from entrostat.lab import Claim, Outcome, entropy, main
from entrostat.lab.classical import equivalent_policy, frank_wolfe, line_world, statewise_average, visits


def check(quick: bool) -> Outcome:
    """Compare three readings of one mixture."""
    mdp = line_world(11)
    mixture = frank_wolfe(mdp, rounds=60 if quick else 400, step=lambda t: 2 / (t + 2), smoothing=0.001)
    drawn = float(entropy(mixture.density))
    averaged = float(entropy(visits(mdp, statewise_average(mixture))))
    equivalent = float(entropy(visits(mdp, equivalent_policy(mixture))))
    last = float(entropy(mixture.visits[-1]))
    holds = abs(equivalent - drawn) < 1e-9 and drawn > averaged + 0.01 and last < drawn - 0.5
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "one policy drawn per episode": drawn,
            "action probabilities averaged state by state": averaged,
            "averaged with the visits as weights": equivalent,
            "the last policy alone": last,
        },
        remarks="Entropies of visits in nats on a line of 11 states; log 11 is 2.3979.",
    )


CLAIM = Claim(
    name="classical_mixtures",
    statement=(
        "The entropy that exploration by a mixture promises is that of one policy drawn per episode; averaging action "
        "probabilities state by state loses some, and the last policy alone loses most."
    ),
    source="[71] Hazan et al. 2019, arXiv 1812.02690 (the authors' code averages state by state)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
