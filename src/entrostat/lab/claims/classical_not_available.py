"""[70] and [72]: the papers could not be found, so nothing is implemented under their names."""

from __future__ import annotations

from entrostat.lab import Claim, Outcome, main


def check(quick: bool) -> Outcome:
    """Report that there is nothing to check."""
    del quick
    return Outcome(
        verdict="not tested",
        figures={
            "[70] historical decision-making regularised maximum-entropy RL": "source not available",
            "[72] adaptive joint entropy reward": "source not available",
        },
        remarks="Neither text nor abstract nor formula was found. A guess under their names would help nobody.",
    )


CLAIM = Claim(
    name="classical_not_available",
    statement="Two methods of the survey cannot be checked because their papers could not be found.",
    source="[70], [72] source not available",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
