"""What the head needs: with a fused one, and what logits would take without.

Both fused heads work through the scored tokens chunk by chunk. Ours holds whole rows of logits, `rows_per_chunk(V)` of
them; TRL's a tile of 4,096 rows by 32,768 columns. In the backward pass both sum the gradient of the head's matrix in
fp32. A plain head holds logits `[rows, V]` and, in the backward pass, their gradient; most hold several copies more
(docs/performance.md has measured ones).
"""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.integrations.plan._setup import BYTES, Setup
from entrostat.integrations.plan._shape import ModelShape
from entrostat.ops import KEPT_PRODUCT_BYTES, SAVED_ROW_BYTES, rows_per_chunk

TRL_TILE = (4096, 32768)
"""Rows and columns of the tile of logits that TRL's own fused head works on."""


@dataclass(frozen=True, kw_only=True)
class HeadBytes:
    """Bytes of one micro-batch."""

    kept: int
    """From forward to backward: hidden states of the scored tokens and our statistics."""
    products: int
    """Kept until the head's backward pass, which comes first, ends: all logits if they are few, else none."""
    forward: int
    """Beside these, while the forward pass runs."""
    backward: int
    """Beside these, while the head's backward pass runs."""
    waiting: int
    """Of a tied head's gradient, which waits for the embedding's until the backward pass ends."""
    statistics: int
    """The part of `kept` that is our statistics."""
    chunk: int
    """Logits held at a time."""
    trl_chunk: int
    """The same in TRL's own fused head."""
    plain: int
    """Logits and their gradient, which neither holds."""


def head_bytes(shape: ModelShape, setup: Setup) -> HeadBytes:
    """Return what our fused head needs, and what a plain head would hold."""
    rows, vocab, size = setup.rows, shape.vocab, setup.compute_bytes
    at_once = min(rows, rows_per_chunk(vocab))
    logits, chunk = rows * vocab * size, at_once * vocab * size
    few = logits <= KEPT_PRODUCT_BYTES
    statistics = rows * SAVED_ROW_BYTES
    # Autocast's copies of the matrix and of a chunk's hidden states; then a chunk's product with the matrix.
    copy = (shape.head_parameters + at_once * shape.hidden) * size if setup.autocast else 0
    product = at_once * shape.hidden * size
    # A CPU has no product of half-precision numbers with an fp32 sum: it works on fp32 copies of the chunk.
    copied = at_once * (vocab + shape.hidden) * 4 if size < 4 and not setup.compact and shape.lora is None else 0
    bent = chunk // size * 4 * 2 if shape.softcap else 0
    return HeadBytes(
        kept=rows * shape.hidden * setup.stream_bytes + statistics,
        products=logits if few else 0,
        forward=copy + bent + (0 if few else chunk),
        backward=copy + bent + product + copied + (0 if few else chunk) + _gradients(shape, setup),
        waiting=shape.head_parameters * _gradient_size(setup) if shape.tied and not shape.lora else 0,
        statistics=statistics,
        chunk=logits if few else chunk,
        trl_chunk=min(rows, TRL_TILE[0]) * TRL_TILE[1] * size,
        plain=2 * logits,
    )


def _gradients(shape: ModelShape, setup: Setup) -> int:
    hidden = setup.rows * shape.hidden * setup.stream_bytes
    if shape.lora is not None:
        return hidden
    # Summed in fp32; rounded to the parameter's dtype once, beside the sum, where that is another.
    rounded = 0 if _gradient_size(setup) == 4 else _gradient_size(setup)
    return hidden + shape.head_parameters * (4 + rounded)


def _gradient_size(setup: Setup) -> int:
    sharded = setup.sharding == "fsdp2" or setup.sharding.startswith("zero")
    return setup.compute_bytes if sharded else BYTES[setup.weights]
