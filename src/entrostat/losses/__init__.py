"""Losses per token, and the one reduction to a scalar. Hosts with a loss of their own do not need these."""

from entrostat.losses._advantage_coefficient import advantage_coefficient as advantage_coefficient
from entrostat.losses._clipped_surrogate import TokenLoss as TokenLoss
from entrostat.losses._clipped_surrogate import clipped_surrogate as clipped_surrogate
from entrostat.losses._peak_weights import peak_weights as peak_weights
from entrostat.losses._reduce import Tally as Tally
from entrostat.losses._reduce import token_mean as token_mean
from entrostat.losses._sequence_entropy import SequenceEstimator as SequenceEstimator
from entrostat.losses._sequence_entropy import sequence_entropy as sequence_entropy
from entrostat.losses._sequence_entropy import sequence_entropy_surrogate as sequence_entropy_surrogate

__all__ = [
    "SequenceEstimator",
    "Tally",
    "TokenLoss",
    "advantage_coefficient",
    "clipped_surrogate",
    "peak_weights",
    "sequence_entropy",
    "sequence_entropy_surrogate",
    "token_mean",
]
