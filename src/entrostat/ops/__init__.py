"""Tensors in, tensors out: the hot operations, with forward and backward written by hand."""

from entrostat.ops._backend import available_backends
from entrostat.ops._linear_token_stats import (
    KEPT_PRODUCT_BYTES,
    SAVED_ROW_BYTES,
    Head,
    HeadStats,
    head_stats,
    linear_token_stats,
    rows_per_chunk,
)
from entrostat.ops._support import Support, kept_weights
from entrostat.ops._token_stats import TokenEntropies, TokenStats, check_token_stats, token_entropies, token_stats
from entrostat.ops._tsallis import tsallis_entropy
from entrostat.ops._vocab_parallel import vocab_parallel_token_stats

__all__ = [
    "KEPT_PRODUCT_BYTES",
    "SAVED_ROW_BYTES",
    "Head",
    "HeadStats",
    "Support",
    "TokenEntropies",
    "TokenStats",
    "available_backends",
    "check_token_stats",
    "head_stats",
    "kept_weights",
    "linear_token_stats",
    "rows_per_chunk",
    "token_entropies",
    "token_stats",
    "tsallis_entropy",
    "vocab_parallel_token_stats",
]
