"""Tensors in, tensors out: the hot operations, with forward and backward written by hand."""

from entrostat.ops._backend import available_backends as available_backends
from entrostat.ops._linear_token_stats import KEPT_PRODUCT_BYTES as KEPT_PRODUCT_BYTES
from entrostat.ops._linear_token_stats import SAVED_ROW_BYTES as SAVED_ROW_BYTES
from entrostat.ops._linear_token_stats import Head as Head
from entrostat.ops._linear_token_stats import HeadStats as HeadStats
from entrostat.ops._linear_token_stats import head_stats as head_stats
from entrostat.ops._linear_token_stats import linear_token_stats as linear_token_stats
from entrostat.ops._linear_token_stats import rows_per_chunk as rows_per_chunk
from entrostat.ops._support import Support as Support
from entrostat.ops._support import kept_weights as kept_weights
from entrostat.ops._token_stats import TokenEntropies as TokenEntropies
from entrostat.ops._token_stats import TokenStats as TokenStats
from entrostat.ops._token_stats import check_token_stats as check_token_stats
from entrostat.ops._token_stats import token_entropies as token_entropies
from entrostat.ops._token_stats import token_stats as token_stats
from entrostat.ops._tsallis import tsallis_entropy as tsallis_entropy
from entrostat.ops._vocab_parallel import vocab_parallel_token_stats as vocab_parallel_token_stats

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
