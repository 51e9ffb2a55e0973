"""Losses per token, and the one reduction to a scalar. Hosts with a loss of their own do not need these."""

from entrostat.losses._clipped_surrogate import TokenLoss as TokenLoss
from entrostat.losses._clipped_surrogate import clipped_surrogate as clipped_surrogate
from entrostat.losses._reduce import token_mean as token_mean

__all__ = ["TokenLoss", "clipped_surrogate", "token_mean"]
