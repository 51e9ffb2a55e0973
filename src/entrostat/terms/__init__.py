"""Terms: what a recipe adds to the host's loss, per token. One idea per file."""

from entrostat.terms._advantage_kl import AdvantageKL as AdvantageKL
from entrostat.terms._base import Term as Term
from entrostat.terms._confident_weight import ConfidentWeight as ConfidentWeight
from entrostat.terms._drift_penalty import DriftPenalty as DriftPenalty
from entrostat.terms._entropy_bonus import EntropyBonus as EntropyBonus
from entrostat.terms._peak_entropy import PeakEntropy as PeakEntropy
from entrostat.terms._response_entropy import ResponseEntropy as ResponseEntropy

__all__ = [
    "AdvantageKL",
    "ConfidentWeight",
    "DriftPenalty",
    "EntropyBonus",
    "PeakEntropy",
    "ResponseEntropy",
    "Term",
]
