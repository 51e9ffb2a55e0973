"""Tensors in, tensors out: the hot operations, with forward and backward written by hand."""

from entrostat.ops._linear_token_stats import linear_token_stats as linear_token_stats
from entrostat.ops._token_stats import TokenStats as TokenStats
from entrostat.ops._token_stats import token_stats as token_stats
from entrostat.ops._vocab_parallel import vocab_parallel_token_stats as vocab_parallel_token_stats

__all__ = ["TokenStats", "linear_token_stats", "token_stats", "vocab_parallel_token_stats"]
