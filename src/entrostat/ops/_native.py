"""`_rows` for CPUs, in C: one row at a time while it lies in the cache, so that no chunk has to be held at all."""

# `rows.c` is compiled once per machine. It is never required: without a compiler, torch does the work. The library lies
# in the user's cache ($XDG_CACHE_HOME/entrostat, by default ~/.cache/entrostat), named after everything that could make
# it wrong elsewhere: source, compiler, flags and the CPU's instruction set. It is written under another name and moved
# into place, so that processes that start together cannot load half a file; it is loaded only from a folder that no
# other user may write to; and it is used only if it reproduces a known answer.

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from entrostat.ops import _rows
from entrostat.ops._rows import RowCoefficients, RowGrads, RowStats, coefficients
from entrostat.ops._support import Support, check_target_range

_log = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("rows.c")
_COMPILERS = ("cc", "gcc", "clang")
# No -ffast-math: a NaN must stay one. The loops say themselves where sums may be reordered.
_COMMON = ("-O3", "-shared", "-fPIC", "-std=gnu11", "-funroll-loops", "-fopenmp-simd")
# Loops vectorise only if errno and the exception flags are never read afterwards, and they are not.
_QUIET = ("-fno-math-errno", "-fno-trapping-math")
_TUNED = (("-march=native",), ("-mcpu=native",), ())
"""Tried in turn: x86 and most others, then Arm's older spelling, then without."""

_KINDS = {torch.float32: 0, torch.bfloat16: 1}
_KEEP_ALL, _BY_COUNT, _BY_MASS = 0, 1, 2
_LOGITS_PER_THREAD = 1 << 19
"""Below this a second thread costs more to start than it saves."""


@functools.cache
def missing() -> str | None:
    """Return why the compiled code cannot be used; None if it can."""
    found = library()
    if isinstance(found, str):
        return found
    # If the first call comes under autocast, autocast would round the expected answer.
    with torch.autocast("cpu", enabled=False):
        return None if _reproduces_a_known_answer() else "the compiled code gave a wrong answer"


def streams(z: Tensor) -> bool:
    """Whether `z` is read where it lies: then no row needs more than a scratch row per thread."""
    return z.dtype in _KINDS and (z.stride(-1) == 1 or z.numel() == 0)


def forward_rows(
    z: Tensor, targets: Tensor | None, support: Support | None, scale: float, watched: Tensor | None = None
) -> RowStats:
    """As `_rows.forward_rows`, for fp32, bf16 and fp16 on the CPU."""
    if support is not None and not support.crossing:
        # The kernel selects the nucleus with its crossing token; without, torch's sort does. Backward is the same.
        return _rows.forward_rows(z, targets, support, scale, watched)
    rows, vocab = z.shape
    z = _readable(z)
    targets = _checked(targets, vocab)
    watched = None if watched is None else watched.to("cpu", torch.float32).contiguous()
    stats = RowStats(*(_floats(rows) for _ in RowStats._fields))
    outputs = _pointers(*stats)
    by_mass = support is not None and support.top_p is not None
    kind = _KEEP_ALL if support is None else _BY_MASS if by_mass else _BY_COUNT
    kept = 0 if support is None else support.kept(vocab)

    def work(first: int, last: int) -> None:
        scratch = _floats(3 * vocab)
        _library().entrostat_forward(
            *_matrix(z, first, last), ctypes.c_float(scale), _pointer(targets), kind, ctypes.c_int64(kept),
            ctypes.c_double(support.top_p if support is not None and support.top_p is not None else 1.0),
            _pointer(watched), _pointer(scratch), outputs,
        )  # fmt: skip

    _spread(work, rows, vocab)
    return stats


def backward_rows(
    z: Tensor, out: Tensor, targets: Tensor | None, stats: RowStats, letters: RowCoefficients, scale: float
) -> None:
    """As `_rows.backward_rows`, for fp32, bf16 and fp16 on the CPU."""
    rows, vocab = z.shape
    targets = _checked(targets, vocab)
    source = _readable(z)
    result = out if streams(out) and out.dtype == source.dtype else torch.empty_like(source)
    columns = [None if value is None else value.contiguous() for value in (*stats[4:5], *stats[6:8], *letters)]
    table = _pointers(*columns)

    def work(first: int, last: int) -> None:
        scratch = _floats(vocab)
        _library().entrostat_backward(
            *_matrix(source, first, last), ctypes.c_float(scale), _pointer(targets), int(letters.c is not None),
            table, _pointer(scratch), _pointer(result), ctypes.c_int64(result.stride(0)),
        )  # fmt: skip

    _spread(work, rows, vocab)
    if result is not out:
        out.copy_(result)
    else:
        torch.autograd.graph.increment_version(out)


def _readable(z: Tensor) -> Tensor:
    return z.detach() if streams(z) else z.to(torch.float32 if z.dtype not in _KINDS else z.dtype).contiguous()


def _checked(targets: Tensor | None, vocab: int) -> Tensor | None:
    # C does not look where it reads, so a target out of range must not get there.
    if targets is None:
        return None
    check_target_range(targets, vocab)
    return targets.to(torch.int64).contiguous()


def _floats(count: int) -> Tensor:
    # Whatever dtype and device are the process's defaults.
    return torch.empty(count, dtype=torch.float32, device="cpu")


def _library() -> ctypes.CDLL:
    found = library()
    assert isinstance(found, ctypes.CDLL), found
    return found


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _pointers(*tensors: Tensor | None) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(_pointer(tensor).value for tensor in tensors))


def _matrix(z: Tensor, first: int, last: int) -> tuple[object, ...]:
    numbers = (z.stride(0), first, last, z.shape[1])
    return (_pointer(z), _KINDS[z.dtype], *(ctypes.c_int64(number) for number in numbers))


def _spread(work: Callable[[int, int], None], rows: int, vocab: int) -> None:
    """Run `work(first, last)` over all rows on as many threads as torch uses; the C code runs without the GIL."""
    threads = min(torch.get_num_threads(), rows, rows * vocab // _LOGITS_PER_THREAD)
    if threads <= 1:
        work(0, rows)
        return
    bounds = [rows * part // threads for part in range(threads + 1)]
    # A pool per call: one that outlives a fork would wait for threads that are gone.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))


def _reproduces_a_known_answer() -> bool:
    """Compare a few rows with `_rows`: a compiler that reordered sums it must not is found here, not in a run."""
    z = torch.linspace(-3, 4, 90, dtype=torch.float32, device="cpu").sin().mul(5).view(3, 30)
    targets, ones = torch.tensor([0, 29, 7], device="cpu"), z[:, 0].clone()
    grads = RowGrads(ones, ones, ones, ones)
    for support in (None, Support(clamp=0.4), Support(top_p=0.7)):
        theirs, ours = torch.empty_like(z), torch.empty_like(z)
        expected, found = _rows.forward_rows(z, targets, support, 0.9), forward_rows(z, targets, support, 0.9)
        letters = coefficients(targets, expected, grads, support)
        _rows.backward_rows(z, theirs, targets, expected, letters, 0.9)
        backward_rows(z, ours, targets, expected, letters, 0.9)
        pairs = [*zip(expected[:6], found[:6], strict=True), (theirs, ours)]
        if not all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in pairs):
            return False
    return True


@functools.cache
def library() -> ctypes.CDLL | str:
    """Return the loaded library, or a sentence with the reason for its absence. Decided once per process."""
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        return "no C compiler was found"
    try:
        folder = _cache_folder()
        found: ctypes.CDLL | str = ""
        for flags in _TUNED:
            found = _load(compiler, flags, folder)
            if isinstance(found, ctypes.CDLL):
                break
    except (OSError, subprocess.SubprocessError) as error:
        found = f"the C code could not be built: {error}"
    if isinstance(found, str):
        _log.debug("native rows: %s", found)
    return found


def _load(compiler: str, flags: tuple[str, ...], folder: Path) -> ctypes.CDLL | str:
    command = [compiler, *_COMMON, *_QUIET, *flags, str(_SOURCE)]
    target = folder / f"rows-{_fingerprint(command)}.so"
    if not target.exists():
        # In the same folder, since only there a move is atomic.
        with tempfile.TemporaryDirectory(dir=folder) as workshop:
            built = Path(workshop) / "rows.so"
            done = subprocess.run(
                [*command, "-o", str(built), "-lm"], capture_output=True, text=True, check=False, timeout=120
            )
            if done.returncode != 0:
                return f"the C compiler failed: {done.stderr.strip()[:300]}"
            os.replace(built, target)
    found = ctypes.CDLL(str(target))
    found.entrostat_forward.restype = found.entrostat_backward.restype = None
    return found


def _fingerprint(command: list[str]) -> str:
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    facts = [_SOURCE.read_text(), *command, version, platform.machine(), _instruction_set()]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:20]


def _instruction_set() -> str:
    # A home folder is often shared by machines that differ, and code for the wrong one kills the process.
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.processor()} {platform.node()}"
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.node())


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "entrostat"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.stat()
    if hasattr(os, "getuid") and (facts.st_uid != os.getuid() or facts.st_mode & 0o022):
        raise OSError(f"{folder} can be written to by others")
    return folder
