"""Run by `test_vocab_parallel.py` on several ranks: every case on shards of the vocabulary against the whole of it.

Prints one line of JSON on rank 0: of each case, over all ranks, the largest error of the four values and of the
gradient, the collectives of one forward and backward, and the bytes a rank puts into them; of each mistake, the error
that every rank raised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from entrostat.ops import token_stats, vocab_parallel_token_stats

ROWS = 6
RULES: dict[str, dict[str, Any]] = {
    "whole": {}, "clamp": {"clamp": 0.4}, "nothing clamped": {"clamp": 0.0}, "hot": {"clamp": 0.3, "temperature": 1.7},
    "top_k": {"top_k": 5}, "one": {"top_k": 1}, "all": {"top_k": 10**6}, "top_p": {"top_p": 0.7, "temperature": 0.8},
    "nearly all": {"top_p": 1 - 1e-9}, "top": {"top_p": 1e-6},
}  # fmt: skip

FEW = ("clamp", "hot", "one", "top_p")
"""The rules that are tried in every dtype."""


def normal(vocab: int, dtype: torch.dtype) -> Tensor:
    return (torch.randn(ROWS, vocab, generator=torch.Generator().manual_seed(vocab)) * 3).to(dtype)


def equal(vocab: int, dtype: torch.dtype) -> Tensor:
    return torch.full((ROWS, vocab), -1.5, dtype=dtype)


def tied(vocab: int, dtype: torch.dtype) -> Tensor:
    """Few different values of both signs, both zeros among them: ties at every cut, on every rank."""
    values = torch.tensor([-2.0, -1.0, -0.0, 0.0, 0.5])
    return values[torch.randint(5, (ROWS, vocab), generator=torch.Generator().manual_seed(1))].to(dtype)


def banned(vocab: int, dtype: torch.dtype) -> Tensor:
    """Banned tokens: half of each row; all but one; a whole shard and more; a row's every token."""
    logits = normal(vocab, dtype)
    logits[:, ::2] = -torch.inf
    logits[1] = -torch.inf
    logits[1, vocab // 2] = 0.3
    logits[2, : vocab // 2 + 1] = -torch.inf
    logits[3] = -torch.inf
    return logits


def far(vocab: int, dtype: torch.dtype) -> Tensor:
    """Logits that differ by more than an exponential can carry."""
    return normal(vocab, dtype) * 300


KINDS: dict[str, Callable[[int, torch.dtype], Tensor]] = {
    "normal": normal, "equal": equal, "tied": tied, "banned": banned, "far": far,
}  # fmt: skip


def sizes(vocab: int, even: bool) -> list[int]:
    """Shards as Megatron cuts them, or as unequal as they can be."""
    ranks = dist.get_world_size()
    if not even:
        return [vocab - (ranks - 1), *[1] * (ranks - 1)]
    return [vocab // ranks + (rank < vocab % ranks) for rank in range(ranks)]


def run(logits: Tensor, targets: Tensor, rule: dict[str, Any], even: bool) -> dict[str, Any]:
    """Return the errors of one case on this rank, and what it sent."""
    whole = logits.clone().requires_grad_()
    shard = logits.split(sizes(logits.shape[-1], even), -1)[dist.get_rank()].clone().requires_grad_()
    traffic = Traffic()
    with traffic:
        ours = vocab_parallel_token_stats(shard, targets, group=None, **rule)
        loss(ours).backward()
    theirs = token_stats(whole, targets, backend="torch", **rule)
    loss(theirs).backward()
    assert whole.grad is not None
    own = whole.grad.split(sizes(logits.shape[-1], even), -1)[dist.get_rank()]
    assert [value.dtype for value in ours] == [value.dtype for value in theirs]
    assert shard.grad is not None
    assert shard.grad.dtype == logits.dtype
    values = max(error(mine, full) for mine, full in zip(ours, theirs, strict=True))
    return {"values": values, "gradient": error(shard.grad, own), **vars(traffic)}


def loss(stats: Any) -> Tensor:
    """A loss with another weight on every output of every row; a banned target's log-prob, -inf, is left out."""
    parts = [torch.where(value.isfinite(), value, 0) for value in stats]
    weight = torch.linspace(0.5, 1.5, parts[0].numel(), dtype=parts[0].dtype).view_as(parts[0])
    return sum(((number + 1) * weight * part for number, part in enumerate(parts)), torch.zeros(())).sum()


def error(mine: Tensor, full: Tensor) -> float:
    if not mine.numel():
        return 0.0
    same = (mine == full) | (mine.isnan() & full.isnan())
    return float(torch.where(same, 0, (mine - full).abs() / (1 + full.abs())).double().nan_to_num(nan=torch.inf).max())


class Traffic:
    """Counts collectives and the bytes a rank puts into them."""

    def __init__(self) -> None:
        self.collectives, self.bytes = 0, 0

    def __enter__(self) -> None:
        originals = dist.all_reduce, dist.all_gather

        def all_reduce(tensor: Tensor, **settings: Any) -> Any:
            self._count(tensor)
            return originals[0](tensor, **settings)

        def all_gather(everyone: list[Tensor], tensor: Tensor, **settings: Any) -> Any:
            self._count(tensor)
            return originals[1](everyone, tensor, **settings)

        dist.all_reduce, dist.all_gather = all_reduce, all_gather
        self.restore = originals

    def __exit__(self, *_: Any) -> None:
        dist.all_reduce, dist.all_gather = self.restore
        del self.restore

    def _count(self, tensor: Tensor) -> None:
        self.collectives += 1
        self.bytes += tensor.numel() * tensor.element_size()


def cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        for kind, make in KINDS.items():
            for name in RULES if dtype == torch.float32 else FEW:
                rule = RULES[name]
                logits = make(37, dtype)
                targets = torch.tensor([0, 36, 18, -100, 9, 20])
                key = f"{str(dtype).removeprefix('torch.')} {kind} {name}"
                found[key] = run(logits, targets, rule, even=kind != "far")
    long = torch.randn(300, 8192, generator=torch.Generator().manual_seed(5))
    found["several chunks"] = run(long, torch.arange(300), {"clamp": 0.33}, even=True)
    found["three dimensions"] = run(
        normal(37, torch.float32).view(2, 3, 37), torch.ones(2, 3).long(), RULES["hot"], True
    )
    found["no rows"] = run(torch.zeros(0, 37), torch.zeros(0).long(), RULES["clamp"], even=True)
    found["broken"] = run(torch.full((2, 37), torch.nan), torch.tensor([1, 36]), RULES["clamp"], even=True)
    return found


def mistakes() -> dict[str, str]:
    """Return what each rank says of each mistake; a rank that hangs fails the whole run."""
    rank, size = dist.get_rank(), sizes(37, True)[dist.get_rank()]
    logits, targets = torch.randn(3, size), torch.tensor([1, 2, 3])
    calls: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "integers": (logits.long() if rank == 1 else logits, targets, {}),
        "rows": (logits[: 3 - rank % 2], targets[: 3 - rank % 2], {}),
        "dtype": (logits.double() if rank == 1 else logits, targets, {}),
        "settings": (logits, targets, {"clamp": 0.1 * (1 + rank)}),
        "other targets": (logits, targets + rank, {}),
        "target range": (logits, targets + 34, {}),
        "shape": (logits, targets[:2], {}),
        "two rules": (logits, targets, {"clamp": 0.1, "top_k": 3}),
        "cold": (logits, targets, {"temperature": 0.0}),
        "empty shard": (logits[:, :0] if rank == 1 else logits, targets, {}),
    }
    said: dict[str, str] = {}
    for name, (x, t, rule) in calls.items():
        try:
            vocab_parallel_token_stats(x, t, group=None, **rule)
            said[name] = "nothing"
        except (TypeError, ValueError) as refusal:
            said[name] = f"{type(refusal).__name__}: {refusal}"
    return said


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    mine = {"cases": cases(), "mistakes": mistakes()}
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    if dist.get_rank() == 0:
        print(json.dumps(everyone), flush=True)
    dist.barrier()
    # Not in order: at times a process then aborts in its last moment (torch 2.13, gloo), with nothing of Python's
    # left ("terminate called without an active exception"). All that was to be found out is printed by now.
    os._exit(0)


if __name__ == "__main__":
    main()
