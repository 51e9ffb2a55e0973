"""Compile `rows.c` once per machine and load it. Nothing here is required: without a compiler, torch does the work.

The library lies in the user's cache (`$XDG_CACHE_HOME/entrostat`, by default `~/.cache/entrostat`), named after
everything that could make it wrong elsewhere: source, compiler, flags and the CPU's instruction set. It is written
under another name and moved into place, so that processes that start together cannot load half a file; it is loaded
only from a folder that nobody else may write to; and it is used only if it reproduces a known answer.
"""

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
from pathlib import Path

_log = logging.getLogger(__name__)

_SOURCE = Path(__file__).with_name("rows.c")
_COMPILERS = ("cc", "gcc", "clang")
# No -ffast-math: a NaN must stay one. The loops say themselves where sums may be reordered.
_COMMON = ("-O3", "-shared", "-fPIC", "-std=gnu11", "-funroll-loops", "-fopenmp-simd")
# Loops vectorise only where nobody reads errno or the exception flags afterwards, and nobody does.
_QUIET = ("-fno-math-errno", "-fno-trapping-math")
_TUNED = (("-march=native",), ("-mcpu=native",), ())
"""Tried in turn: x86 and most others, then Arm's older spelling, then without."""


@functools.cache
def library() -> ctypes.CDLL | str:
    """Return the loaded library, or a sentence saying why there is none. Decided once per process."""
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
