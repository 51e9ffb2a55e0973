"""Bytes a GPU sends per optimizer step: the host's for its gradients and parameters, and ours."""

from __future__ import annotations

from entrostat.integrations.plan._setup import Setup
from entrostat.integrations.plan._shape import ModelShape
from entrostat.integrations.plan._states import trained_bytes

CONTROL = 68
"""What `aent` puts into all-reduces per step: tests/integrations/trl/test_traffic.py counts it."""


def ring(size: int, gpus: int) -> int:
    """Return what each of `gpus` sends in a ring all-reduce of `size` bytes: `2 (R - 1) / R` of it."""
    return 2 * (gpus - 1) * size // gpus


def host_bytes(shape: ModelShape, setup: Setup) -> int:
    """Return what the host sends per step of one micro-batch.

    DDP all-reduces gradients. ZeRO-1 and 2 scatter gradients and gather parameters, as much in all. ZeRO-3 and FSDP2
    gather parameters in the forward and again in the backward pass and scatter gradients; every further micro-batch of
    a step costs them the same again.
    """
    gpus = setup.gpus
    if setup.sharding in ("none", "ddp"):
        return ring(shape.trainable * trained_bytes(shape, setup), gpus)
    size = setup.compute_bytes
    if setup.sharding in ("zero1", "zero2"):
        return ring(shape.trainable * size, gpus)
    return (2 * shape.parameters + shape.trainable) * size * (gpus - 1) // gpus


def control_bytes(gpus: int) -> int:
    """Return what `aent` sends per step."""
    return ring(CONTROL, gpus)
