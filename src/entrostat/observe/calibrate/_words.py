"""A calibration as text."""

from __future__ import annotations

import textwrap

from entrostat.observe.calibrate._calibration import Calibration
from entrostat.observe.calibrate._measure import Kept
from entrostat.observe.report._text import number, percent, visible


def told(found: Calibration) -> str:
    """Return what was measured and what is proposed."""
    deciles = found.deciles()
    reward = "" if found.reward is None else f", mean reward {number(found.reward)}"
    head = (
        f"{visible(found.model, limit=200)} on {visible(found.data, limit=200)}: {found.responses} responses, "
        f"{found.tokens:,} tokens at temperature {found.temperature:g}{reward}."
    )
    entropy = (
        f"Entropy {number(found.entropy)} nats per token; a tenth of the tokens have under {number(deciles[0])}, half "
        f"under {number(deciles[4])}, a tenth above {number(deciles[8])}."
    )
    rows = [f"  drop {share:>6.1%} of the vocabulary: {_kept(kept)}" for share, kept in found.measured.by_share.items()]
    rows += [f"  keep {mass:>6.1%} of the probability: {_kept(kept)}" for mass, kept in found.measured.by_mass.items()]
    reasons = [textwrap.fill(reason, 100) for reason in found.proposal.reasons]
    return "\n".join(
        [textwrap.fill(head, 100), textwrap.fill(entropy, 100), *rows, "", *reasons, "", found.proposal.python]
    )


def _kept(kept: Kept) -> str:
    return f"kept mass {percent(kept.mass)}, clamped entropy {number(kept.entropy)}"
