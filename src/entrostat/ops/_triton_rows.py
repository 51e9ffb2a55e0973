"""`_rows` for GPUs: the kernels of `_triton_kernels`, launched."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from entrostat.ops._rows import RowCoefficients, RowStats, working_copy
from entrostat.ops._support import Support, count_by_mass

_SHIFTS = {torch.float32: 0, torch.float16: 12, torch.bfloat16: 16}
"""Low bits of a float that its dtype leaves zero once it is widened to fp32; a multiple of four."""


def missing(device: torch.device) -> str | None:
    """Return why the kernels cannot run on a device; None if they can."""
    if device.type != "cuda" and not interpreted():
        return "it works on CUDA devices (or anywhere in Triton's interpreter, TRITON_INTERPRET=1)"
    return _unusable()


def interpreted() -> bool:
    """Whether Triton runs in its interpreter, on the CPU, as the tests do."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def _unusable() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    histogram: Any = importlib.import_module("triton.language").histogram
    if "mask" not in inspect.signature(histogram).parameters:
        return "this Triton is too old: `tl.histogram` has no mask"
    return None


def _kernels() -> Any:
    return importlib.import_module("entrostat.ops._triton_kernels")


def streams(z: Tensor) -> bool:
    """Whether `z` is read where it lies."""
    return z.dtype in _SHIFTS and (z.stride(-1) == 1 or z.numel() == 0)


def forward_rows(
    z: Tensor, targets: Tensor | None, support: Support | None, scale: float, watched: Tensor | None = None
) -> RowStats:
    """As `_rows.forward_rows`."""
    rows, vocab = z.shape
    z = z if streams(z) else z.contiguous()
    stats = RowStats(*(torch.empty(rows, dtype=torch.float32, device=z.device) for _ in RowStats._fields))
    if rows == 0:
        return stats
    kept = None if support is None else _kept(z, support, scale)
    watched = None if watched is None else watched.to(z.device, torch.float32).contiguous()
    with _on(z):
        _kernels().forward_kernel[(rows,)](
            z, z.stride(0), vocab, scale, _or(targets, z), _or(kept, z), _or(watched, z), *stats,
            HAS_TARGETS=targets is not None, HAS_CUT=kept is not None, HAS_WATCHED=watched is not None,
            **tuning(z.dtype, vocab),
        )  # fmt: skip
    return stats


def tuning(dtype: torch.dtype, vocab: int) -> dict[str, int]:
    """The forward kernel's sizes: bins enough for a bracket of bf16 codes, or to halve fp32's bits twice."""
    block = min(4096, 1 << (vocab - 1).bit_length())
    bins = 4096 if dtype == torch.float32 else 512
    sample = 1024
    return {"SHIFT": _SHIFTS[dtype], "SAMPLE": sample, "BINS": bins, "BLOCK": block, "num_warps": 8}


def backward_rows(
    z: Tensor, out: Tensor, targets: Tensor | None, stats: RowStats, letters: RowCoefficients, scale: float
) -> None:
    """As `_rows.backward_rows`."""
    rows, vocab = z.shape
    if rows == 0:
        return
    g1, a, b, c, d = letters
    source = z if streams(z) else z.contiguous()
    result = out if streams(out) else torch.empty_like(source)
    scored = g1 is not None and targets is not None
    block = min(4096, 1 << (vocab - 1).bit_length())
    with _on(z):
        _kernels().backward_kernel[(rows, -(-vocab // block))](
            source, source.stride(0), result, result.stride(0), vocab, scale, _or(targets, z),
            stats.log_z, stats.tau, stats.tie_weight, _or(g1, z), a, b, _or(c, z), _or(d, z),
            HAS_TARGETS=scored, HAS_CUT=c is not None, BLOCK=block, num_warps=8,
        )  # fmt: skip
    if result is not out:
        out.copy_(result)
    else:
        torch.autograd.graph.increment_version(out)


def _kept(z: Tensor, support: Support, scale: float) -> Tensor:
    """How many tokens each row keeps. By mass that takes a sort, a few rows at a time."""
    rows, vocab = z.shape
    if support.top_p is None:
        return torch.full((rows,), support.kept(vocab), dtype=torch.int32, device=z.device)
    top_p, crossing = support.top_p, support.crossing
    parts = [count_by_mass(working_copy(part, scale), top_p, crossing) for part in z.split(max(1, (1 << 24) // vocab))]
    return torch.cat(parts).to(torch.int32)


def _or(tensor: Tensor | None, placeholder: Tensor) -> Tensor:
    # A kernel does not read an argument whose flag is off, but it needs some pointer.
    return placeholder if tensor is None else tensor.contiguous()


def _on(z: Tensor) -> AbstractContextManager[Any]:
    return torch.cuda.device(z.device) if z.is_cuda else nullcontext()
