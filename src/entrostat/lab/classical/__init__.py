"""The classical entropy methods, one module each: a small implementation, then the claims that check it."""

from __future__ import annotations

from entrostat.lab._claim import Outcome, claim


@claim("classical", source="[70], [72] source not available")
def classical_not_available(quick: bool) -> Outcome:
    """Two methods of the survey cannot be checked because their papers could not be found."""
    # Report that there is nothing to check.
    del quick
    return Outcome(
        verdict="not tested",
        figures={
            "[70] historical decision-making regularised maximum-entropy RL": "source not available",
            "[72] adaptive joint entropy reward": "source not available",
        },
        remarks="Neither text nor abstract nor formula was found. A guess under their names would help nobody.",
    )
