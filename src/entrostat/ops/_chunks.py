"""Rows in chunks: an implementation that copies what it works on is given a few rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.ops._backend import Rows
from entrostat.ops._rows import RowGrads, RowStats, compute_dtype
from entrostat.ops._support import Support

COPIED_LOGITS = 1 << 20
"""Logits worked on at a time where copies are made: 4 MB in fp32, small beside any batch and good for the cache."""


def forward_chunks(
    rows: Rows,
    z: Tensor,
    targets: Tensor | None,
    support: Support | None,
    scale: float,
    watched: Tensor | None = None,
    chunk_rows: int | None = None,
) -> RowStats:
    """`forward_rows` over `z [n, V]`, however many rows it has."""
    # Autocast would round the sums of products to its dtype.
    with torch.autocast(z.device.type, enabled=False):
        parts = [
            rows.forward_rows(z[part], None if targets is None else targets[part], support, scale, watched)
            for part in _parts(rows, z, chunk_rows)
        ]
    return stack_chunks(parts, z)


def backward_chunks(
    rows: Rows,
    z: Tensor,
    out: Tensor,
    targets: Tensor | None,
    stats: RowStats,
    grads: RowGrads,
    support: Support | None,
    scale: float,
    chunk_rows: int | None = None,
) -> None:
    """`backward_rows` over `z [n, V]`, however many rows it has; `out` may be `z`."""
    for part in _parts(rows, z, chunk_rows):
        target = None if targets is None else targets[part]
        some = RowStats(*(value[part] for value in stats))
        rows.backward_rows(z[part], out[part], target, some, slice_grads(grads, part), support, scale)


def _parts(rows: Rows, z: Tensor, chunk_rows: int | None) -> list[slice]:
    whole = len(z) if rows.streams(z) else max(1, COPIED_LOGITS // z.shape[-1])
    return row_slices(len(z), chunk_rows or whole)


def row_slices(count: int, size: int) -> list[slice]:
    """Cut `count` rows into slices of `size`."""
    return [slice(start, min(start + size, count)) for start in range(0, count, max(1, size))]


def stack_chunks(chunks: list[RowStats], like: Tensor) -> RowStats:
    """Join the statistics of consecutive chunks of rows; empty ones if there are none."""
    if not chunks:
        return RowStats(*(like.new_empty(0, dtype=compute_dtype(like.dtype)) for _ in RowStats._fields))
    if len(chunks) == 1:
        return chunks[0]
    return RowStats(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def slice_grads(grads: RowGrads, rows: slice) -> RowGrads:
    """The gradients of some rows."""
    return RowGrads(*(None if grad is None else grad[rows] for grad in grads))
