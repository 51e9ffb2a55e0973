"""Comparing two mathematical values without trusting either: exactly where they are numbers, else in another process.

The other process runs math-verify under limits of its own (`_child.py`) and is killed when an answer takes too long, so
the limit holds in any thread and against any computation. An answer that fails, hangs or kills it is wrong; the next
one finds a new process.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import itertools
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import IO, Final, cast

from entrostat.errors import require, require_finite

MAX_CHARACTERS: Final = 400
"""Longer answers are rejected."""
SECONDS: Final = 5.0
"""Processor time one comparison may take."""
_PATIENCE: Final = 10.0
"""Wall time it may take, as a multiple of its processor time: it may sleep, and the machine may be busy."""
_DEEPEST: Final = 12
"""Deepest nesting of brackets that is parsed: the parser's time grows exponentially with it."""
_START_SECONDS: Final = 300.0
"""Time for the imports of the other process, on a machine that is busy or reads from a network."""
# Most answers are plain numbers, which are read exactly and need no computer algebra.
_DIGITS: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})"
_PLAIN: Final = re.compile(rf"([-+]?){_DIGITS}(?:\.[0-9]{{1,30}})?", re.ASCII)
_RATIO: Final = re.compile(r"([-+]?)([0-9]{1,30})\s*/\s*([0-9]{1,30})", re.ASCII)
_FRAC: Final = re.compile(r"([-+]?)\\[dt]?frac\s*\{([0-9]{1,30})\}\s*\{([0-9]{1,30})\}", re.ASCII)


def require_math_verify() -> None:
    """Raise `ImportError` with the remedy unless math-verify is installed."""
    if importlib.util.find_spec("math_verify") is None:
        raise ImportError("math-verify is not installed. Run: pip install 'entrostat[math]'")


class Verifier:
    r"""Compares LaTeX expressions in a process of its own, started when first needed.

    Args:
        seconds: processor time one comparison may take; ten times that on the clock.

    Raises:
        ImportError: math-verify is not installed.

    Example:
        >>> with Verifier() as verifier:
        ...     verifier.same(r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"), verifier.same("x", "y")
        (True, False)
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        require(require_finite("seconds", seconds) > 0, "seconds", "be positive", seconds)
        require_math_verify()
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def same(self, reference: str, answer: str) -> bool:
        """Return whether two expressions have the same value; False on timeout."""
        with self._lock:
            process = self._process or self._start()
            verdict = self._ask(process, json.dumps([reference, answer]))
            if verdict is None:
                self.close()
            return verdict == b"true"

    def close(self) -> None:
        """End the other process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in _pipes(process):
                pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: nothing is imported from the folder of the script. The process inherits no open file and may write none.
        command = [sys.executable, "-P", str(Path(__file__).with_name("_child.py")), str(self._seconds)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        if _line(_pipes(self._process)[1], _START_SECONDS) != b"ready":
            self.close()
            raise ImportError("math-verify does not start. Run: python -c 'import math_verify' to see why.")
        return self._process

    def _ask(self, process: subprocess.Popen[bytes], request: str) -> bytes | None:
        """Return the answer of the other process, or None if it gave none in time or is gone."""
        into, out = _pipes(process)
        try:
            into.write(request.encode() + b"\n")
            # The alarm of the process comes first; this limit is for the case that even that fails.
            return _line(out, self._seconds * _PATIENCE)
        except OSError:
            return None


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    return cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)


def _line(pipe: IO[bytes], seconds: float) -> bytes | None:
    """Return the next line of a pipe, or None if none comes in time."""
    until, data = time.monotonic() + seconds, b""
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(pipe.fileno(), 4096) if ready else b""
        if not piece:
            return None
        data += piece
    return data.strip()


@functools.cache
def _shared() -> Verifier:
    verifier = Verifier()
    atexit.register(verifier.close)
    return verifier


def number(text: str) -> Fraction | None:
    r"""Return the value of a plain number or fraction of integers, or `None` for anything else.

    Example:
        >>> number("1,200.50"), number(r"-\frac{3}{6}"), number("2^3")
        (Fraction(2401, 2), Fraction(-1, 2), None)
    """
    text = text.strip().strip("$").strip()
    if len(text) > 100:
        return None
    if _PLAIN.fullmatch(text):
        return Fraction(text.replace(",", ""))
    ratio = _RATIO.fullmatch(text) or _FRAC.fullmatch(text)
    if ratio is None or int(ratio[3]) == 0:
        return None
    value = Fraction(int(ratio[2]), int(ratio[3]))
    return -value if ratio[1] == "-" else value


@functools.lru_cache(maxsize=1 << 16)
def same_value(reference: str, answer: str) -> bool:
    r"""Return whether an answer has the value of the reference: equal as text, as numbers, or by computer algebra.

    Verdicts are cached, because the responses of a group often agree.

    Example:
        >>> same_value("1,200", "1200.0"), same_value("1/2", "0.5"), same_value("42", "43")
        (True, True, False)
    """
    reference, answer = (" ".join(text.split()).removesuffix(".") for text in (reference, answer))
    if not reference or not answer or max(len(reference), len(answer)) > MAX_CHARACTERS:
        return False
    if reference == answer:
        return True
    values = number(reference), number(answer)
    if None not in values:
        return values[0] == values[1]
    depths = itertools.accumulate((letter in "([{") - (letter in ")]}") for letter in answer)
    return max(depths) <= _DEEPEST and _shared().same(reference, answer)
