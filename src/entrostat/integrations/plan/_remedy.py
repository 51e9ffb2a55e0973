"""What to change first when a plan does not fit: the least change that makes it fit by the same count."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from entrostat.integrations.plan._lines import GIB
from entrostat.integrations.plan._plan import Plan, plan_memory
from entrostat.integrations.plan._setup import Setup

MOST_GPUS = 1024
Change = tuple[str, dict[str, Any]]


def first_remedy(plan: Plan) -> str:
    """Return one sentence with what to change.

    Tried in turn: each change that costs no GPU and leaves the objective as it is, then all of them together, then
    these on more and more GPUs.
    """
    for words, setup in _attempts(plan):
        tried = plan_memory(plan.shape, setup, gpu_memory=plan.gpu_bytes / GIB)
        if tried.fits:
            return f"{words}: then {tried.total / GIB:.1f} GiB."
    return f"No number of such GPUs up to {MOST_GPUS:,} is enough: train an adapter (LoRA), or a smaller model."


def _attempts(plan: Plan) -> Iterator[tuple[str, Setup]]:
    setup = plan.setup
    single = [*_settings(setup), *_fewer_sequences(setup), *_shard(setup)]
    for words, change in single:
        yield words, dataclasses.replace(setup, **change)
    together = [*_settings(setup), *list(_fewer_sequences(setup))[-1:], *_shard(setup)]
    words = ", and ".join(words if at == 0 else words[0].lower() + words[1:] for at, (words, _) in enumerate(together))
    for _, change in together:
        setup = dataclasses.replace(setup, **change)
    if len(together) > 1:
        yield words, setup
    gpus = max(2, 2 * setup.gpus)
    while gpus <= MOST_GPUS:
        more = f"{words}, and use" if words else "Use"
        yield f"{more} {gpus:,} GPUs with FSDP2", dataclasses.replace(setup, sharding="fsdp2", gpus=gpus)
        gpus *= 2


def _settings(setup: Setup) -> Iterator[Change]:
    if setup.vllm == "colocate" and not setup.vllm_sleeps:
        yield "Let vLLM sleep during the update (vllm_enable_sleep_mode)", {"vllm_sleeps": True}
    if not setup.checkpointing:
        yield "Turn gradient checkpointing on", {"checkpointing": True}


def _fewer_sequences(setup: Setup) -> Iterator[Change]:
    sequences, times = setup.sequences, 1
    while sequences % 2 == 0:
        sequences, times = sequences // 2, times * 2
        words = f"Put {sequences} sequences into a micro-batch and accumulate {times} times as many"
        yield words, {"sequences": sequences, "rollouts": setup.drawn}


def _shard(setup: Setup) -> Iterator[Change]:
    if setup.gpus > 1 and setup.sharding != "fsdp2":
        yield f"Shard over the {setup.gpus:,} GPUs with FSDP2", {"sharding": "fsdp2"}
