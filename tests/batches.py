"""A batch of tokens with everything in it, for the contracts of edits and terms."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from entrostat import TokenBatch


def batch(rows: int = 4, length: int = 6, seed: int = 0, garbage: bool = False) -> TokenBatch:
    """Return a batch with uneven rows, the last one empty; masked positions hold NaN if `garbage`."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> torch.Tensor:
        return torch.rand(rows, length, generator=generator)

    mask = (torch.arange(length) < torch.arange(length, length - rows, -1)[:, None]).int()
    mask[-1] = 0
    fields = {name: noise() for name in ("entropy", "clamped_entropy", "kept_mass", "advantages")}
    fields["logprobs"] = -noise()
    fields["old_logprobs"] = -noise()
    fields["ref_logprobs"] = -noise()
    if garbage:
        fields = {name: torch.where(mask.bool(), value, torch.nan) for name, value in fields.items()}
    for name in ("logprobs", "entropy", "clamped_entropy"):
        fields[name].requires_grad_()
    clip = torch.full((rows, length), 0.2)
    rewards = (torch.arange(rows) % 3 == 0).float()
    groups = torch.arange(rows) // 2
    return TokenBatch(**fields, mask=mask, clip_low=clip, clip_high=clip, rewards=rewards, group_ids=groups)


def rollouts(garbage: bool = False, seed: int = 0, **facts: Any) -> TokenBatch:
    """Return a batch as rollout edits see it: eight fresh responses, the groups of four interleaved, the last empty."""
    base = batch(rows=8, length=9, seed=seed, garbage=garbage)
    rewards = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0])
    groups = torch.arange(8) % 2
    advantages = torch.empty(8)
    for group in (0, 1):
        inside = groups == group
        advantages[inside] = (rewards[inside] - rewards[inside].mean()) / rewards[inside].std()
    mask = base.mask.bool()
    spread = advantages[:, None].expand(8, 9)
    return base.replace(
        advantages=torch.where(mask, spread, torch.nan) if garbage else spread.clone(),
        old_entropy=base.entropy.detach(),
        mean_logit=base.kept_mass - 1,
        target_logit=2 * base.kept_mass,
        rewards=rewards,
        group_ids=groups,
        **facts,
    )


def part(whole: TokenBatch, rows: slice) -> TokenBatch:
    """Return some rows of a batch."""
    tensors = {name: value for name, value in vars(whole).items() if isinstance(value, torch.Tensor) and value.dim()}
    return whole.replace(**{name: value[rows] for name, value in tensors.items()})


def on_ranks(function: Callable[[TokenBatch], Any], parts: list[TokenBatch]) -> list[Any]:
    """Call the function as each rank would, with its part and a `gather` that waits for the others."""
    barrier = threading.Barrier(len(parts), timeout=10)
    slots: list[Any] = [None] * len(parts)

    def run(rank: int) -> Any:
        def gather(values: torch.Tensor) -> torch.Tensor:
            assert values.dim() == 1
            slots[rank] = values
            barrier.wait()
            joined = torch.cat(slots)
            barrier.wait()
            return joined

        return function(parts[rank].replace(gather=gather))

    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(run, range(len(parts))))
