"""What TRL's checkpoint leaves out and an exact resume needs: the controller, the rollouts in use, the prompts' order.

TRL trains on one rollout batch for several optimizer steps, but saves none of it, and a resumed run counts its
micro-batches from zero: after a checkpoint in the middle of a rollout batch it would draw another one, and from then on
at the wrong prompts. Its sampler shuffles all epochs with one generator, which a resumed run seeds anew: it would go
through its second epoch in the order of the first. And where a file of its own is gone, such as the optimizer's or one
rank's random numbers, it starts that part afresh without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device

Batches = Sequence[dict[str, Any]]


def rollouts_file(rank: int) -> str:
    """Return the name of the file with the rollouts a rank was training on."""
    return f"entrostat_rollouts_rank{rank}.pt"


def save_rollouts(folder: Path, batches: Batches, *, rank: int) -> str:
    """Write this rank's open rollout batch, cut into micro-batches, into a checkpoint folder; return the digest."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(list(batches), folder / rollouts_file(rank))
    return _digest(folder / rollouts_file(rank))


def load_rollouts(folder: Path, digests: Sequence[str], *, rank: int, ranks: int, device: torch.device) -> Batches:
    """Read this rank's open rollout batch.

    Args:
        folder: the checkpoint.
        digests: of the file of each rank that wrote it.
        rank: this rank.
        ranks: all of them.
        device: where the rollouts go.

    Raises:
        ValueError: another number of ranks wrote it, or the file is missing or not the one that was written.
    """
    if len(digests) != ranks:
        raise ValueError(
            f"the checkpoint {folder} was written by {len(digests)} ranks in the middle of a rollout batch, and this "
            f"run has {ranks}. Resume with {len(digests)}, or from a checkpoint at the end of a rollout batch."
        )
    path = folder / rollouts_file(rank)
    if not path.exists():
        raise ValueError(
            f"the checkpoint {folder} was written in the middle of a rollout batch and holds no {path.name}: it was "
            "cut short. Resume from a checkpoint that is whole."
        )
    if _digest(path) != digests[rank]:
        raise ValueError(f"{path} is damaged or of another checkpoint. Resume from an earlier checkpoint.")
    # Not `map_location=device`: torch does not know the device `cpu:0` that accelerate gives to ranks on a CPU.
    batches: Any = send_to_device(torch.load(path, map_location="cpu", weights_only=True), device)
    return batches


def require_parts(folder: Path, batches: Batches, parts: int) -> None:
    """Raise unless the open rollout batch was cut as the settings now say."""
    if len(batches) != parts:
        raise ValueError(
            f"the checkpoint {folder} holds a rollout batch in {len(batches)} micro-batches, and this run has {parts} "
            "in one. Resume with the `steps_per_generation` that wrote it, or from a checkpoint at the end of a "
            "rollout batch."
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of every file of a folder, by its path there."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def require_whole(folder: Path, files: Mapping[str, int]) -> None:
    """Raise unless a checkpoint still has every file it was written with, as long as it was written."""
    found = sizes(folder)
    for name, size in files.items():
        if name not in found:
            raise ValueError(f"the checkpoint {folder} has lost its {name}. Resume from an earlier checkpoint.")
        if found[name] != size:
            raise ValueError(
                f"{folder / name} is damaged: it has {found[name]} bytes and was written with {size}. "
                "Resume from an earlier checkpoint."
            )


def wind(sampler: Iterable[Any], epochs: int) -> None:
    """Bring a fresh sampler to where it is after `epochs` epochs: it draws an epoch's order when the epoch begins."""
    for _ in range(epochs):
        next(iter(sampler), None)
