"""Which implementation does the arithmetic of a chunk of rows: chosen by device and dtype, or by name.

| name     | where                           | what it needs                                            |
|----------|---------------------------------|----------------------------------------------------------|
| `torch`  | any device, any dtype           | nothing; every other one is tested against it            |
| `native` | CPU: fp32, bf16, fp16           | a C compiler (`cc`, `gcc` or `clang`), once per machine  |
| `triton` | CUDA: fp32, bf16, fp16          | Triton, which comes with torch on Linux                  |

float64 is always worked on by `torch`: it is there for checks. The environment variable `ENTROSTAT_BACKEND` names the
one to use; unset or `auto`, the fastest one that can be had is taken, and whatever is missing is passed over.
"""

from __future__ import annotations

import os
from typing import Protocol

import torch
from torch import Tensor

from entrostat.errors import unknown_name
from entrostat.ops import _native_rows, _rows, _triton_rows
from entrostat.ops._rows import RowGrads, RowStats
from entrostat.ops._support import Support

BACKENDS = ("torch", "native", "triton")

VARIABLE = "ENTROSTAT_BACKEND"


class Rows(Protocol):
    """An implementation: a module with these three functions, as `_rows` documents them."""

    def streams(self, z: Tensor) -> bool: ...

    def forward_rows(
        self,
        z: Tensor,
        targets: Tensor | None,
        support: Support | None,
        scale: float = 1.0,
        watched: Tensor | None = None,
    ) -> RowStats: ...

    def backward_rows(
        self,
        z: Tensor,
        out: Tensor,
        targets: Tensor | None,
        stats: RowStats,
        grads: RowGrads,
        support: Support | None,
        scale: float = 1.0,
    ) -> None: ...


def pick(z: Tensor, name: str | None = None) -> Rows:
    """Return the implementation for tensors like `z`.

    Raises:
        ValueError: `name`, or the environment's, is unknown or cannot be had here.
    """
    name = name or os.environ.get(VARIABLE) or "auto"
    if name not in (*BACKENDS, "auto"):
        raise unknown_name("backend", name, (*BACKENDS, "auto"))
    if name != "auto" and (reason := missing(name, z.device)):
        raise ValueError(f"backend {name!r} cannot be used: {reason}. Choose `auto` or `torch`.")
    if name == "torch" or z.dtype == torch.float64:
        return _rows
    if name != "auto":
        return _triton_rows if name == "triton" else _native_rows
    if z.is_cuda:
        return _rows if missing("triton", z.device) else _triton_rows
    return _rows if missing("native", z.device) else _native_rows


def available_backends(device: torch.device) -> list[str]:
    """Return the names of the implementations that can be used on a device of this machine; see `token_stats`.

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
        return "it works on the CPU" if device.type != "cpu" else _native_rows.missing()
    if name == "triton":
        return _triton_rows.missing(device)
    return None
