"""What torch allocates on the CPU while a function runs, byte for byte, from the profiler's allocation events."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch


class Allocated(NamedTuple):
    """A function's answer, what it left allocated, and the most it had allocated; both beyond what was there."""

    answer: Any
    kept: int
    peak: int


def allocated(function: Callable[[], Any]) -> Allocated:
    """Call `function` and count what torch allocates and frees for it on the CPU, temporaries inside kernels included.

    Example:
        >>> allocated(lambda: torch.zeros(256).exp()).kept
        1024
    """
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        answer = function()
    results: Any = profile.profiler.kineto_results  # pyright: ignore[reportOptionalMemberAccess]
    kept = peak = 0
    for _, size in sorted(_events(results.experimental_event_tree())):
        kept += size
        peak = max(peak, kept)
    return Allocated(answer, kept, peak)


def _events(tree: list[Any]) -> Iterator[tuple[int, int]]:
    from torch._C._profiler import _EventType  # pyright: ignore[reportPrivateUsage]

    waiting = list(tree)
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.tag == _EventType.Allocation:
            yield event.start_time_ns, event.extra_fields.alloc_size
