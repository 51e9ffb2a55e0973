"""The ways to compute log-prob and entropies that are compared. Each runs forward and backward once.

Two levels: from logits `[N, V]`, and from hidden states `[N, D]` and the head `[V, D]`. Every way forms the loss

    sum(logprobs) + 0.1 sum(H)        H: clamped entropy; where a way has none, the full entropy

and its gradients. `published` and `eager` are written here as plainly as they are usually written; ours and the host's
are called.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
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
