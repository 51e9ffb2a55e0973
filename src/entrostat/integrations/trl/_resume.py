"""What TRL's checkpoint leaves out and an exact resume needs: the rollouts in use and the order of the prompts.

TRL trains on one rollout batch for several optimizer steps, but saves none of it, and a resumed run counts its
micro-batches from zero: after a checkpoint in the middle of a rollout batch it would draw another one, and from then on
at the wrong prompts. Its sampler shuffles all epochs with one generator, which a resumed run seeds anew: it would go
through its second epoch in the order of the first.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

Batches = Sequence[dict[str, Any]]


def rollouts_file(rank: int) -> str:
    """Return the name of the file with the rollouts a rank was training on."""
    return f"entrostat_rollouts_rank{rank}.pt"


def save_rollouts(folder: Path, batches: Batches, *, rank: int, ranks: int) -> None:
    """Write this rank's open rollout batch, cut into micro-batches, into a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"ranks": ranks, "batches": list(batches)}, folder / rollouts_file(rank))


def load_rollouts(folder: Path, *, rank: int, ranks: int, parts: int, device: torch.device) -> Batches:
    """Read this rank's open rollout batch.

    Args:
        folder: the checkpoint.
        rank: this rank.
        ranks: all of them.
        parts: the micro-batches that the settings cut a rollout batch into.
        device: where they go.

    Raises:
        ValueError: the file is missing or damaged, or other settings than these wrote it.
    """
    path = folder / rollouts_file(rank)
    if not path.exists():
        raise ValueError(
            f"the checkpoint {folder} was written in the middle of a rollout batch and holds no {path.name}: it was "
            "cut short, or fewer ranks wrote it. Resume from a checkpoint that is whole, on as many ranks as wrote it."
        )
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        raise ValueError(f"{path} is damaged: torch cannot read it. Resume from an earlier checkpoint.") from None
    found, batches = saved["ranks"], saved["batches"]
    if (found, len(batches)) != (ranks, parts):
        raise ValueError(
            f"{path} holds the rollouts of one of {found} ranks in {len(batches)} micro-batches, but this run has "
            f"{ranks} ranks and {parts} micro-batches in a rollout batch. Resume with the number of ranks and the "
            "`steps_per_generation` that wrote it, or from a checkpoint at the end of a rollout batch."
        )
    return batches


def wind(sampler: Iterable[Any], epochs: int) -> None:
    """Bring a fresh sampler to where it is after `epochs` epochs: it draws an epoch's order when the epoch begins."""
    for _ in range(epochs):
        next(iter(sampler), None)
