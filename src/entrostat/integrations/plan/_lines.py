"""The entries of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.integrations.plan._activations import Activations, activations
from entrostat.integrations.plan._head import HeadBytes
from entrostat.integrations.plan._rollout import generation_bytes
from entrostat.integrations.plan._setup import BYTES, SHARDINGS, Setup
from entrostat.integrations.plan._shape import ModelShape
from entrostat.integrations.plan._states import States, states

GIB = 1 << 30
CONTEXT, COMMUNICATION = GIB, GIB // 2
"""Allowances, not computed: the CUDA context with its libraries, and NCCL's buffers."""

PHASES = ("rollout", "update", "step")
"""What follows each other: drawing rollouts, forward and backward pass, the optimizer's step."""
_UPDATE = ("update",)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One entry: what takes how many bytes of one GPU in which phases."""

    part: str
    bytes: int
    phases: tuple[str, ...] = PHASES
    how: str
    torch: bool = True
    """Whether torch's allocator holds it."""


def lines_of(shape: ModelShape, setup: Setup, head: HeadBytes, gpu_bytes: int) -> tuple[Line, ...]:
    """Return the entries that are not empty."""
    held, kept = states(shape, setup), activations(shape, setup)
    lines = [
        *_states(shape, setup, held),
        *_update(shape, setup, kept, head),
        *_rollout(shape, setup, gpu_bytes),
        Line(part="CUDA context, libraries", bytes=CONTEXT, how="allowance, not computed", torch=False),
        Line(
            part="communication buffers", bytes=COMMUNICATION if setup.gpus > 1 else 0, how="allowance, not computed",
            torch=False,
        ),
    ]  # fmt: skip
    return tuple(line for line in lines if line.bytes)


def _states(shape: ModelShape, setup: Setup, held: States) -> list[Line]:
    trained = "all" if shape.lora is None else f"{shape.trainable:,} of adapters"
    how, dtype = SHARDINGS[setup.sharding], setup.weights
    if setup.weight_bytes < BYTES[dtype]:
        dtype = setup.compute
    moments = f"{setup.optimizer}, {trained} trained"
    buckets = "DDP's buckets" if setup.sharding == "ddp" else "gathered parts, buckets"
    return [
        Line(part="parameters", bytes=held.parameters, how=f"{shape.parameters:,} in {dtype}; {how}"),
        Line(part="reference model", bytes=held.reference, how="beta above 0"),
        Line(part="optimizer", bytes=held.optimizer, how=moments),
        Line(part="gradients", bytes=held.gradients, phases=("update", "step"), how="kept while micro-batches add up"),
        Line(part=buckets, bytes=held.gathered, how="parameters and gradients in one piece"),
        Line(part="optimizer's workspace", bytes=held.step, phases=("step",), how="adamw_torch's denominators"),
    ]


def _update(shape: ModelShape, setup: Setup, kept: Activations, head: HeadBytes) -> list[Line]:
    how = "one input per block, blocks recomputed" if setup.checkpointing else "all a block's backward pass reads"
    size, moment = max(
        (kept.casts + head.products + head.forward, "head, forward"),
        (head.products + head.backward, "head, backward"),
        (head.waiting + kept.block + kept.transient, "a block's backward pass"),
    )
    rows = f"{setup.rows:,} scored tokens"
    return [
        Line(part="activations", bytes=kept.kept, phases=_UPDATE, how=f"{setup.tokens:,} tokens; {how}"),
        Line(part="head's input", bytes=head.kept - head.statistics, phases=_UPDATE, how=rows),
        Line(part="entropy statistics", bytes=head.statistics, phases=_UPDATE, how=f"44 bytes each of {rows}"),
        Line(part="working memory", bytes=size, phases=_UPDATE, how=f"fullest moment: {moment}"),
    ]


def _rollout(shape: ModelShape, setup: Setup, gpu_bytes: int) -> list[Line]:
    if setup.vllm == "server":
        return []
    if setup.vllm == "colocate":
        share = int(setup.vllm_share * gpu_bytes)
        phases, then = (("rollout",), "asleep otherwise") if setup.vllm_sleeps else (PHASES, "awake throughout")
        return [
            Line(part="vLLM", bytes=share, phases=phases, how=f"{setup.vllm_share:.0%} of a GPU, {then}", torch=False)
        ]
    drawn = f"{setup.drawn:,} sequences of {setup.length:,}: keys, values, one step's logits"
    return [Line(part="generation", bytes=generation_bytes(shape, setup), phases=("rollout",), how=drawn)]
