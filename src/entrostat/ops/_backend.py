"""Which implementation does the arithmetic of the rows, and how many rows at a time."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from entrostat.errors import unknown_name
from entrostat.ops import _native, _rows, _triton_rows
from entrostat.ops._rows import RowCoefficients, RowGrads, RowStats, coefficients, compute_dtype
from entrostat.ops._support import Support, check_target_range

BACKENDS = ("torch", "native", "triton")

VARIABLE = "ENTROSTAT_BACKEND"

COPIED_LOGITS = 1 << 20
"""Logits worked on at a time where copies are made: 4 MB in fp32, small beside any batch and good for the cache."""


class Rows(Protocol):
    """An implementation: a module with these three functions, as `_rows` documents them."""

    def streams(self, z: Tensor) -> bool: ...

    def forward_rows(
        self, z: Tensor, targets: Tensor | None, support: Support | None, scale: float, watched: Tensor | None = None
    ) -> RowStats: ...

    def backward_rows(
        self, z: Tensor, out: Tensor, targets: Tensor | None, stats: RowStats, letters: RowCoefficients, scale: float
    ) -> None: ...


def pick(z: Tensor, name: str | None = None) -> Rows:
    """Return the implementation for tensors like `z`.

    Raises:
        ValueError: `name`, or the environment's, is unknown or cannot be used here.
    """
    name = name or os.environ.get(VARIABLE) or "auto"
    if name not in (*BACKENDS, "auto"):
        raise unknown_name("backend", name, (*BACKENDS, "auto"))
    if name != "auto" and (reason := missing(name, z.device)):
        raise ValueError(f"backend {name!r} cannot be used: {reason}. Choose `auto` or `torch`.")
    if name == "torch" or z.dtype == torch.float64:
        return _rows
    if name != "auto":
        return _triton_rows if name == "triton" else _native
    if z.is_cuda:
        return _rows if missing("triton", z.device) else _triton_rows
    return _rows if missing("native", z.device) else _native


def available_backends(device: torch.device) -> list[str]:
    """Return the names of the implementations that can be used on a device of this machine.

    | name     | where                           | needs                                                    |
    |----------|---------------------------------|----------------------------------------------------------|
    | `torch`  | any device, any dtype           | nothing; the other two are tested against it             |
    | `native` | CPU: fp32, bf16, fp16           | a C compiler (`cc`, `gcc` or `clang`), once per machine  |
    | `triton` | CUDA: fp32, bf16, fp16          | Triton, which comes with torch on Linux                  |

    float64 always goes to `torch`: it is there for checks. The environment variable `ENTROSTAT_BACKEND` names the
    implementation to use; unset or `auto`, the fastest one that this machine has is taken.

    Args:
        device: where the logits are.

    Example:
        >>> "torch" in available_backends(torch.device("cpu"))
        True
    """
    return [name for name in BACKENDS if missing(name, device) is None]


def missing(name: str, device: torch.device) -> str | None:
    """Return why a backend cannot be used on a device; None if it can."""
    if name == "native":
        return "it works on the CPU" if device.type != "cpu" else _native.missing()
    return _triton_rows.missing(device) if name == "triton" else None


class Sweep(NamedTuple):
    """One way through rows of logits `scale * z`: an implementation that makes copies is given a few rows at a time."""

    rows: Rows
    support: Support | None
    scale: float
    chunk_rows: int | None = None
    """Rows at a time; None picks by size."""

    def forward(self, z: Tensor, targets: Tensor | None, watched: Tensor | None = None) -> RowStats:
        """Return the statistics of `z [n, V]`."""
        check_target_range(targets, z.shape[-1])
        support = rule(self.support, z.shape[-1])
        # Autocast would round the sums of products to its dtype.
        with torch.autocast(z.device.type, enabled=False):
            parts = [
                self.rows.forward_rows(z[at], None if targets is None else targets[at], support, self.scale, watched)
                for at in self._parts(z)
            ]
        return stack_chunks(parts, z)

    def backward(self, z: Tensor, out: Tensor, targets: Tensor | None, stats: RowStats, grads: RowGrads) -> None:
        """Write the loss's derivative by `z [n, V]` to `out`, which may be `z` itself."""
        support = rule(self.support, z.shape[-1])
        for at in self._parts(z):
            target = None if targets is None else targets[at]
            some = RowStats(*(value[at] for value in stats))
            letters = coefficients(target, some, slice_grads(grads, at), support)
            self.rows.backward_rows(z[at], out[at], target, some, letters, self.scale)

    def _parts(self, z: Tensor) -> list[slice]:
        # An implementation that streams needs no more memory for all rows than for one.
        if self.chunk_rows is None and not self.rows.streams(z):
            return copied_slices(z)
        return row_slices(len(z), self.chunk_rows or len(z))


def rule(support: Support | None, vocab: int) -> Support | None:
    """The support, or None if it drops nothing of a vocabulary of this size."""
    return None if support is None or support.keeps_all(vocab) else support


def copied_slices(z: Tensor) -> list[slice]:
    """Cut the rows of `z [n, V]` where copies are made of them."""
    return row_slices(len(z), COPIED_LOGITS // z.shape[-1])


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
