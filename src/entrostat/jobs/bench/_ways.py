"""The compared ways to compute log-probs and entropies. Each runs forward and backward once.

Two levels: from logits `[N, V]`, and from hidden states `[N, D]` and the head `[V, D]`. Every way forms the loss

    sum(logprobs) + 0.1 sum(H)        H: clamped entropy; where a way has none, the full entropy

and its gradients. `published` and `eager` are written here as plainly as they are usually written; ours and the host's
are called.

Every case runs all ways in turn for time, and every way in a process of its own for memory.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entrostat.ops import available_backends, linear_token_stats, token_stats

CLAMP = 0.3
Compute = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Logits and targets to log-probs and entropies."""
Step = Callable[[], object]
"""One forward and backward, or one of the floor's operations."""


def published(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """AEnt as its published code computes it: rows by the thousand, the smallest logits by top-k on the CPU, a mask."""
    logp = logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    parts: list[Tensor] = []
    for chunk in logits.split(1024):
        smallest = chunk.detach().float().cpu().topk(int(CLAMP * chunk.shape[-1]), dim=-1, largest=False).indices
        dropped = torch.zeros(chunk.shape, dtype=torch.bool).scatter_(-1, smallest, True).to(chunk.device)
        clamped = chunk.float().masked_fill(dropped, -torch.inf)
        log_q, q = clamped.log_softmax(-1), clamped.softmax(-1)
        parts.append(-(q * torch.where(dropped, 0, log_q)).sum(-1))
    return logp, torch.cat(parts)


def eager(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The formula in a few lines of torch, with a selection in place of the sort and the mask from the threshold."""
    x = logits.float()
    logp = x.log_softmax(-1)
    kept = x >= x.detach().kthvalue(int(CLAMP * x.shape[-1]) + 1, dim=-1, keepdim=True).values
    log_q = x.masked_fill(~kept, -torch.inf).log_softmax(-1)
    entropy = -(log_q.exp() * log_q.masked_fill(~kept, 0)).sum(-1)
    return logp.gather(-1, targets.unsqueeze(-1)).squeeze(-1), entropy


def logits_steps(logits: Tensor, targets: Tensor, compiled: bool) -> dict[str, Step]:
    """Return every way from logits, by name."""

    def step(compute: Compute) -> Step:
        def run() -> object:
            leaf = logits.requires_grad_()
            logp, entropy = compute(leaf, targets)
            return torch.autograd.grad(logp.sum() + 0.1 * entropy.sum(), leaf)

        return run

    def ours(backend: str) -> Compute:
        def compute(leaf: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            stats = token_stats(leaf, targets, clamp=CLAMP, backend=backend)
            return stats.logprobs, stats.clamped_entropy

        return compute

    steps = {"published": step(published), "eager": step(eager)}
    if compiled and not compiler_missing():
        steps["eager, torch.compile"] = step(torch.compile(eager, dynamic=False))
    if (verl := _verl()) is not None:
        steps["verl chunked, no clamp"] = step(verl.from_logits)
    for backend in available_backends(logits.device):
        steps[f"entrostat {backend}"] = step(ours(backend))
    copy = torch.empty_like(logits)
    steps["copy"] = lambda: copy.copy_(logits.detach())
    return steps


def linear_steps(hidden: Tensor, weight: Tensor, targets: Tensor) -> dict[str, Step]:
    """Return every way from hidden states and head, by name."""
    leaves = (hidden.requires_grad_(), weight.requires_grad_())

    def step(compute: Callable[[], tuple[Tensor, Tensor]]) -> Step:
        def run() -> object:
            logp, entropy = compute()
            return torch.autograd.grad(logp.sum() + 0.1 * entropy.sum(), leaves)

        return run

    def ours(backend: str, clamp: float | None) -> Callable[[], tuple[Tensor, Tensor]]:
        def compute() -> tuple[Tensor, Tensor]:
            stats = linear_token_stats(hidden, weight, targets, clamp=clamp, backend=backend)
            return stats.logprobs, stats.clamped_entropy

        return compute

    steps = {
        "published, logits formed": step(lambda: published(hidden @ weight.t(), targets)),
        "eager, logits formed": step(lambda: eager(hidden @ weight.t(), targets)),
    }
    if (host := _host_kernel()) is not None:
        steps["TRL fused head, no clamp"] = step(
            lambda: host.apply(hidden, weight, None, targets, 1.0, 32768, None, 1.0, ("log_probs", "entropy"))[:2]
        )
    if (verl := _verl()) is not None:
        steps["verl fused head, no clamp"] = step(lambda: verl.from_hidden(hidden, weight, targets))
    for backend in available_backends(hidden.device):
        steps[f"entrostat {backend}"] = step(ours(backend, CLAMP))
        steps[f"entrostat {backend}, no clamp"] = step(ours(backend, None))
    steps["one matrix product"] = lambda: hidden.detach() @ weight.detach().t()
    return steps


def compiler_missing() -> str | None:
    """Return why torch.compile is left out; None if it is not."""
    return None if shutil.which("g++") or shutil.which("clang++") else "torch.compile needs a C++ compiler"


class _Verl(NamedTuple):
    from_logits: Compute
    from_hidden: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _verl() -> _Verl | None:
    """Return verl's own functions, called as its trainer calls them; None where verl is not installed."""
    try:
        plain = importlib.import_module("verl.utils.torch_functional")
        fused = importlib.import_module("verl.utils.experimental.torch_functional")
    except ImportError:
        return None

    def from_logits(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return plain.logprobs_from_logits_v2(logits, targets), plain.entropy_from_logits_with_chunking(logits)

    return _Verl(from_logits, fused.FusedLinearForPPO())


def _host_kernel() -> Any:
    try:
        return importlib.import_module("trl.kernels").ChunkedLogProbFunction
    except (ImportError, AttributeError):
        return None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One size; with `features` 0 it starts from logits."""

    dtype: str
    rows: int
    vocab: int
    features: int = 0

    @property
    def level(self) -> str:
        """Where the case starts: at `logits`, or before a `linear` head."""
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
    finish = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    finish()
    began = clock()
    step()
    finish()
    return clock() - began


def _logits_bytes(case: Case) -> int:
    return case.rows * case.vocab * getattr(torch, case.dtype).itemsize


def _gradient_bytes(case: Case) -> int:
    if not case.features:
        return _logits_bytes(case)
    return (case.rows + case.vocab) * case.features * getattr(torch, case.dtype).itemsize


def extra_bytes(case: Case, provider: str) -> int | None:
    """Peak memory of one way beyond its inputs, seen from a fresh process."""
    request = json.dumps({**asdict(case), "provider": provider, "threads": torch.get_num_threads()})
    program = "from entrostat.jobs.bench import _ways; _ways.report_memory()"
    # glibc raises this threshold as it goes and then keeps freed blocks, which would be counted.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, request],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    return int(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout.strip() else None


def report_memory() -> None:
    """Run in the fresh process: print the peak of one step beyond the memory before it."""
    request = json.loads(sys.argv[1])
    provider, threads = request.pop("provider"), request.pop("threads")
    torch.set_num_threads(threads)
    # A small case first, so that libraries, pools and compiled code are not counted.
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
