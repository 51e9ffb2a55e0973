"""Checkpoint and resume: the state that TRL's checkpoint leaves out and an exact resume needs.

TRL trains on one rollout batch for several optimizer steps, but saves none of it, and a resumed run counts its
micro-batches from zero: after a checkpoint in the middle of a rollout batch it would draw another one, and from then on
at the wrong prompts. Its sampler shuffles all epochs with one generator, which a resumed run seeds again: it would go
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
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from entrostat.integrations.host import read_state, write_state
from entrostat.integrations.trl._ranks import Ranks

Batches = Sequence[dict[str, Any]]


class Checkpoints:
    """The state a trainer saves beside TRL's files, and takes up again when training begins.

    Args:
        trainer: the trainer; its `_step` and `_buffered_inputs` are set when a checkpoint is read.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._saved: Mapping[str, Any] | None = None
        self._sampler: Iterable[Any] | None = None

    def save(self, output_dir: Path) -> None:
        """Write the state that TRL leaves out into the checkpoint folder of this step; called on every rank."""
        trainer = self._trainer
        folder = output_dir / f"{PREFIX_CHECKPOINT_DIR}-{trainer.state.global_step}"
        rollout_step = trainer._step % (trainer.args.steps_per_generation * trainer.num_iterations)
        digest = _save_rollouts(folder, trainer._buffered_inputs, rank=trainer._ranks.rank) if rollout_step else ""
        state = {
            "recipe": trainer.recipe.name,
            "control": trainer.control.state_dict(),
            "rollout_step": rollout_step,
            "rollouts": trainer._ranks.all_gather_object(digest),
        }
        if trainer.args.should_save:
            # Every rank has written its rollouts by now: the gather above waited for it.
            write_state(folder, {**state, "files": _sizes(folder)})

    def read(self, folder: Path) -> None:
        """Read a checkpoint folder; `resume` takes its state up.

        Raises:
            ValueError: it was cut short or damaged, or this run has other ranks, settings or another recipe.
        """
        trainer = self._trainer
        state = read_state(folder, recipe=trainer.recipe.name, more=["rollout_step", "rollouts", "files"])
        rollouts = None
        if state["rollout_step"]:
            rollouts = _load_rollouts(folder, state["rollouts"], trainer._ranks, trainer.accelerator.device)
            parts = trainer.args.steps_per_generation
            if len(rollouts) != parts:
                raise ValueError(
                    f"the checkpoint {folder} holds a rollout batch in {len(rollouts)} micro-batches, and this run has "
                    f"{parts} in one. Resume with the `steps_per_generation` that wrote it, or from a checkpoint at "
                    "the end of a rollout batch."
                )
        if trainer.accelerator.is_main_process:
            _require_whole(folder, state["files"])
        # Nothing of the trainer changes before all of it could be read.
        self._saved, trainer._step = state["control"], state["rollout_step"]
        if rollouts is not None:
            trainer._buffered_inputs = rollouts

    def watch_sampler(self, sampler: Any) -> Any:
        """Keep hold of TRL's sampler of prompts, and return it."""
        self._sampler = sampler
        return sampler

    def resume(self, epochs: int) -> None:
        """Put a resumed run where it was: the controller, and the order of the prompts after so many whole epochs."""
        if self._saved is None:
            return
        self._trainer.control.load_state_dict(self._saved)
        self._saved = None
        if self._sampler is not None:
            for _ in range(epochs):
                # The sampler draws an epoch's order when the epoch begins.
                next(iter(self._sampler), None)


def rollouts_file(rank: int) -> str:
    """Return the name of the file with the rollouts a rank was training on."""
    return f"entrostat_rollouts_rank{rank}.pt"


def _save_rollouts(folder: Path, batches: Batches, *, rank: int) -> str:
    """Write this rank's open rollout batch; return its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(list(batches), folder / rollouts_file(rank))
    return _digest(folder / rollouts_file(rank))


def _load_rollouts(folder: Path, digests: Sequence[str], ranks: Ranks, device: torch.device) -> Batches:
    if len(digests) != ranks.world_size:
        raise ValueError(
            f"the checkpoint {folder} was written by {len(digests)} ranks in the middle of a rollout batch, and this "
            f"run has {ranks.world_size}. Resume with {len(digests)}, or from a checkpoint at the end of a rollout "
            "batch."
        )
    path = folder / rollouts_file(ranks.rank)
    if not path.exists():
        raise ValueError(
            f"the checkpoint {folder} was written in the middle of a rollout batch and holds no {path.name}: it was "
            "cut short. Resume from a checkpoint that is whole."
        )
    if _digest(path) != digests[ranks.rank]:
        raise ValueError(f"{path} is damaged or of another checkpoint. Resume from an earlier checkpoint.")
    # Not `map_location=device`: torch does not know the device `cpu:0` that accelerate gives to ranks on a CPU.
    batches: Any = send_to_device(torch.load(path, map_location="cpu", weights_only=True), device)
    return batches


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of every file of a folder, by its path there."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _require_whole(folder: Path, files: Mapping[str, int]) -> None:
    """Raise unless a checkpoint still has every file it was written with, as long as it was written."""
    found = _sizes(folder)
    for name, size in files.items():
        if name not in found:
            raise ValueError(f"the checkpoint {folder} has lost its {name}. Resume from an earlier checkpoint.")
        if found[name] != size:
            raise ValueError(
                f"{folder / name} is damaged: it has {found[name]} bytes and was written with {size}. "
                "Resume from an earlier checkpoint."
            )
