"""Signals: what a controller is fed, where that is not the mean of the recipe's measure. One idea per file."""

from entrostat.terms.signals._base import Signal as Signal
from entrostat.terms.signals._peak_entropies import PeakEntropies as PeakEntropies
from entrostat.terms.signals._surprisal import Surprisal as Surprisal

__all__ = ["PeakEntropies", "Signal", "Surprisal"]
