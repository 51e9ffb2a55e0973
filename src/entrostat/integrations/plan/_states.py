"""Parameters, gradients and optimiser state on one GPU, and what sharding them needs to work with.

ZeRO's accounting is Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", arXiv
1910.02054: 2 + 2 + 12 bytes per parameter in mixed precision, each divided by the GPUs from its stage on. Under FSDP2
accelerate keeps trained parameters in fp32 and gathers blocks in the dtype of the products; embeddings and head belong
to no block and stay gathered.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.integrations.plan._setup import BYTES, Setup
from entrostat.integrations.plan._shape import ModelShape

BUCKET = 500_000_000
"""DeepSpeed's `allgather_bucket_size` and `reduce_bucket_size`, numbers, unless its file says otherwise."""
LIVE = 1_000_000_000
"""DeepSpeed's `stage3_max_live_parameters`."""


@dataclass(frozen=True, kw_only=True)
class States:
    """Bytes on one GPU."""

    parameters: int
    gradients: int
    optimizer: int
    reference: int
    gathered: int
    """Parameters and gradients in one piece while they are worked with, and buckets of reduction."""
    step: int
    """What the optimizer needs beside its state while it steps."""


def states(shape: ModelShape, setup: Setup) -> States:
    """Return what one GPU holds from step to step."""
    if setup.sharding == "fsdp2":
        return _fsdp2(shape, setup)
    return _zero(shape, setup) if setup.sharding.startswith("zero") else _whole(shape, setup)


def _frozen(shape: ModelShape) -> int:
    return shape.parameters if shape.lora is not None else 0


def trained_bytes(shape: ModelShape, setup: Setup) -> int:
    """Return the size of a trained parameter and its gradient."""
    # PEFT makes adapters in fp32, whatever the base model is in.
    return 4 if shape.lora is not None else BYTES[setup.weights]


def _moments(setup: Setup, size: int) -> int:
    if setup.optimizer == "sgd":
        return 0
    return 2 if "8bit" in setup.optimizer else 2 * size


def _whole(shape: ModelShape, setup: Setup) -> States:
    size, trained = trained_bytes(shape, setup), shape.trainable
    weights = BYTES[setup.weights]
    several = setup.sharding == "ddp"
    return States(
        parameters=_frozen(shape) * weights + trained * size,
        gradients=trained * size,
        optimizer=trained * _moments(setup, size),
        reference=_reference(shape, setup) * weights,
        gathered=trained * size if several else 0,
        # PyTorch's unfused AdamW makes its denominators for all parameters at once.
        step=trained * size if setup.optimizer == "adamw_torch" else 0,
    )


def _fsdp2(shape: ModelShape, setup: Setup) -> States:
    gpus, compute, weights = setup.gpus, setup.compute_bytes, BYTES[setup.weights]
    size = 4 if setup.compute != "float32" else weights
    shard, frozen = -(-shape.trainable // gpus), -(-_frozen(shape) // gpus)
    blocks = 2 * shape.block_parameters + shape.embedding_parameters
    unreduced = shape.block_parameters + shape.embedding_parameters if shape.lora is None else 0
    return States(
        parameters=frozen * weights + shard * size,
        gradients=shard * size,
        optimizer=shard * _moments(setup, size),
        reference=-(-_reference(shape, setup) // gpus) * weights,
        gathered=compute * (blocks + unreduced),
        step=shard * size if setup.optimizer == "adamw_torch" else 0,
    )


def _zero(shape: ModelShape, setup: Setup) -> States:
    gpus, stage, size = setup.gpus, int(setup.sharding[-1]), setup.weight_bytes
    trained, frozen = shape.trainable, _frozen(shape)
    parts = {name: gpus if stage >= least else 1 for name, least in (("optimizer", 1), ("gradients", 2), ("all", 3))}
    master = 4 if size < 4 else 0
    live = min(shape.parameters, LIVE) if stage == 3 else 2 * min(trained, BUCKET)
    return States(
        parameters=-(-(trained + frozen) // parts["all"]) * size,
        gradients=-(-trained // parts["gradients"]) * size,
        optimizer=-(-trained // parts["optimizer"]) * (master + _moments(setup, 4)),
        reference=-(-_reference(shape, setup) // parts["all"]) * size,
        gathered=live * size,
        step=0,
    )


def _reference(shape: ModelShape, setup: Setup) -> int:
    # With an adapter the reference is the base model, adapters switched off.
    return shape.parameters if setup.reference and shape.lora is None else 0
