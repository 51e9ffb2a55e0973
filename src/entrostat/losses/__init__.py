"""Losses per token, and the one reduction to a scalar. Hosts with a loss of their own do not need these."""

from entrostat.losses._clipped_surrogate import TokenLoss, clipped_surrogate
from entrostat.losses._reduce import Tally, masked_sums, token_mean
from entrostat.losses._sequence_entropy import SequenceEstimator, sequence_entropy, sequence_entropy_surrogate
from entrostat.losses._weights import advantage_coefficient, peak_weights

__all__ = [
    "SequenceEstimator",
    "Tally",
    "TokenLoss",
    "advantage_coefficient",
    "clipped_surrogate",
    "masked_sums",
    "peak_weights",
    "sequence_entropy",
    "sequence_entropy_surrogate",
    "token_mean",
]
