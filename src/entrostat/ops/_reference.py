"""The eager reference: the definitions written as plainly as they read, for tests, benchmarks and doubters.

It materialises several tensors of the logits' size and sorts each row. Nothing in the library calls it but tests and
benchmarks, which compare every faster path with it in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.ops._support import Support
from entrostat.ops._token_stats import TokenStats


def kept_mask(x: Tensor, support: Support | None) -> Tensor:
    """Return which tokens of `x [N, V]` are kept, as booleans; ties at the cut go to the lower token id."""
    order = x.argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    vocab = x.shape[-1]
    if support is None:
        return torch.ones_like(x, dtype=torch.bool)
    if support.top_p is None:
        return rank < support.kept(vocab)
    p_ordered = x.softmax(-1).gather(-1, order)
    through = p_ordered.cumsum(-1)
    kept = through - p_ordered < support.top_p if support.crossing else through < support.top_p
    kept |= support.crossing and support.top_p == 1
    kept[..., 0] = True
    return kept.gather(-1, rank)


def reference_token_stats(
    logits: Tensor, targets: Tensor, *, support: Support | None = None, temperature: float = 1.0
) -> TokenStats:
    """Return the statistics of `logits [N, V]` by their definitions. Banned tokens (-inf) have probability 0."""
    x = logits / temperature
    logp = x.log_softmax(-1)
    kept = kept_mask(x.detach(), support)
    logq = x.masked_fill(~kept, -torch.inf).log_softmax(-1)
    return TokenStats(
        logp.gather(-1, targets.unsqueeze(-1)).squeeze(-1),
        _entropy(logp),
        _entropy(logq),
        (logp.exp() * kept).sum(-1),
    )


def _entropy(logp: Tensor) -> Tensor:
    # 0 log 0 = 0: the inner fill keeps -inf out of the product's gradient as well as out of its value.
    p = logp.exp()
    return -(p * logp.masked_fill(p == 0, 0)).sum(-1)
