"""Measure one case: every way interleaved for time, every way in a process of its own for memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from entrostat.jobs.bench._providers import Step, linear_steps, logits_steps


@dataclass(frozen=True, kw_only=True)
class Case:
    """One size. `features` 0 means: from logits."""

    dtype: str
    rows: int
    vocab: int
    features: int = 0

    @property
    def level(self) -> str:
        """What the case starts from."""
        return "linear" if self.features else "logits"

    def steps(self, compiled: bool = True) -> dict[str, Step]:
        """Make the inputs, about as spread as a language model's logits, and return every way."""
        generator = torch.Generator().manual_seed(0)
        dtype = getattr(torch, self.dtype)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        targets = torch.randint(0, self.vocab, (self.rows,), generator=generator).to(device)
        if not self.features:
            logits = torch.empty(self.rows, self.vocab).normal_(0, 2.5, generator=generator)
            return logits_steps(logits.to(device, dtype), targets, compiled)
        hidden = torch.empty(self.rows, self.features).normal_(generator=generator)
        weight = torch.empty(self.vocab, self.features).normal_(0, 2.5 / self.features**0.5, generator=generator)
        return linear_steps(hidden.to(device, dtype), weight.to(device, dtype), targets)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One way in one case."""

    level: str
    dtype: str
    rows: int
    vocab: int
    features: int
    provider: str
    milliseconds: float
    """Median over the rounds, forward and backward."""
    times_floor: float
    """Over 1.5 copies of the logits (read; read and write) or 3 matrix products. Median of the rounds' ratios."""
    speedup: float
    """Of the published way over this one. Median of the rounds' ratios."""
    extra_bytes: int | None
    """Peak memory beyond the inputs, gradients included; None where it cannot be read."""
    extra_share: float | None
    """The same, less the gradients, over the size of the logits."""


def measure(case: Case, rounds: int, thorough: bool, say: Callable[[str], None]) -> list[Result]:
    """Return one result per way."""
    steps = case.steps(compiled=thorough)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for name, step in steps.items():
        say(f"{case.level} {case.dtype} {case.rows} x {case.vocab}: {name}")
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(_time(step))
    floor_name, floor_times = ("one matrix product", 3.0) if case.features else ("copy", 1.5)
    base = seconds["published, logits formed" if case.features else "published"]
    results: list[Result] = []
    for name, every in seconds.items():
        extra = extra_bytes(case, name) if thorough and name != floor_name else None
        results.append(
            Result(
                **asdict(case),
                level=case.level,
                provider=name,
                milliseconds=statistics.median(every) * 1e3,
                times_floor=_ratio(every, [one * floor_times for one in seconds[floor_name]]),
                speedup=_ratio(base, every),
                extra_bytes=extra,
                extra_share=None if extra is None else (extra - _gradient_bytes(case)) / _logits_bytes(case),
            )
        )
    return results


def _ratio(over: list[float], under: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(over, under, strict=True))


def clock() -> float:
    """Seconds. CPU time where one thread does the work, so that other programs on the machine do not count."""
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time() if alone else time.perf_counter()


def _time(step: Step) -> float:
    _finish()
    began = clock()
    step()
    _finish()
    return clock() - began


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _logits_bytes(case: Case) -> int:
    return case.rows * case.vocab * getattr(torch, case.dtype).itemsize


def _gradient_bytes(case: Case) -> int:
    if not case.features:
        return _logits_bytes(case)
    return (case.rows + case.vocab) * case.features * getattr(torch, case.dtype).itemsize


def extra_bytes(case: Case, provider: str) -> int | None:
    """Peak memory of one way beyond its inputs, seen from a fresh process."""
    request = json.dumps({**asdict(case), "provider": provider, "threads": torch.get_num_threads()})
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from entrostat.jobs.bench import _measure; _measure.report_memory()",
    ]
    # glibc raises this threshold as it goes and then keeps freed blocks: measure what is asked for, not what it hoards.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    done = subprocess.run([*command, request], capture_output=True, text=True, check=False, env=environment)
    return int(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout.strip() else None


def report_memory() -> None:
    """Run in the fresh process: print the peak of one step beyond what was there before it."""
    request = json.loads(sys.argv[1])
    provider, threads = request.pop("provider"), request.pop("threads")
    torch.set_num_threads(threads)
    # A small case first: libraries, pools and compiled code are not what is measured.
    case = Case(**request)
    replace(case, rows=2, vocab=min(case.vocab, 1024)).steps()[provider]()
    step = case.steps()[provider]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        print(torch.cuda.max_memory_allocated() - before)
        return
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    before = _status("VmRSS")
    step()
    print(_status("VmHWM") - before)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024
