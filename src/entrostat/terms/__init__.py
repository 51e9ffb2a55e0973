"""Terms: what a recipe adds to the host's loss, and signals: what its controller is fed instead of its measure."""

# Written by docs/make_exports.py from the modules beside this file.

from entrostat.terms._base import Signal, Term, Weighted
from entrostat.terms._drift import AdvantageKL, ConfidentWeight, DriftPenalty
from entrostat.terms._entropy import EntropyBonus, PeakEntropy, ResponseEntropy, Surprisal

__all__ = [
    "AdvantageKL", "ConfidentWeight", "DriftPenalty", "EntropyBonus", "PeakEntropy", "ResponseEntropy", "Signal",
    "Surprisal", "Term", "Weighted",
]  # fmt: skip
