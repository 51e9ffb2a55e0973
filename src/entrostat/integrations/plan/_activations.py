"""What the backbone keeps for the backward pass, per token.

The idea of counting what each operation of a block saves is Korthikanti et al., "Reducing Activation Recomputation in
Large Transformer Models", arXiv 2205.05198. Their block (LayerNorm, GELU, stored attention scores) is no longer the one
in use; for transformers' Llama-like blocks (RMSNorm, gated feed-forward, grouped keys, fused attention) the count is,
in bytes per token with D the width, Q and K those of all query and key heads, F the feed-forward's, L the length, c the
bytes of a matrix product's numbers, s those of the residual stream:

    norms           n D (4 + s) + 4 n              the input in fp32, the normalised input for the gain's gradient
    linear inputs   uniform dtype: c (2 D + F)     one for query, key and value, one for gate and up, one for down;
                    autocast: c (5 D + F)          every linear casts its own
    attention       c (2 Q + 2 K) + 4 heads        query, key, value, output, a log-sum per head; with SDPA and a mask
                                                   keys are repeated (K = Q) and every layer keeps the mask, c L
    feed-forward    3 c F                          gate, its activation, up
    experts         k s (2 D + 4 F)                for k experts of width F; autocast does not reach their products
    autocast        c (weights of the block)       once, whatever the number of tokens

With gradient checkpointing, s D per block and one whole block at a time. An adapter frees the inputs of layers that
have none and the normalised inputs, and keeps what its own products need. `benchmarks/memory_model.py` compares with
what torch allocates.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.integrations.plan._setup import Setup
from entrostat.integrations.plan._shape import Lora, ModelShape


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Bytes of one micro-batch."""

    kept: int
    """From the forward to the backward pass, in the whole backbone."""
    block: int
    """Of one recomputed block; 0 without checkpointing."""
    transient: int
    """Gradients of the widest tensors, while a block's backward pass runs."""
    casts: int
    """Autocast's copies of all weights, held until the forward pass ends; without checkpointing part of `kept`."""


def activations(shape: ModelShape, setup: Setup) -> Activations:
    """Return what the backbone needs for one micro-batch."""
    block = block_bytes(shape, setup) + _masks(shape, setup)
    casts = setup.compute_bytes * shape.cast_parameters if setup.autocast else 0
    ends = setup.tokens * (_norm_bytes(shape, setup) + shape.hidden * setup.stream_bytes)
    ends += 2 * setup.length * shape.head_dim * setup.stream_bytes
    transient = setup.tokens * setup.compute_bytes * (2 * _widest(shape) + 2 * shape.hidden)
    if not setup.checkpointing:
        return Activations(kept=shape.layers * block + casts + ends, block=0, transient=transient, casts=0)
    inputs = shape.layers * setup.tokens * shape.hidden * setup.stream_bytes
    shared = setup.tokens * setup.length if _masked(setup) else 0
    once = block + casts // shape.layers
    return Activations(kept=inputs + shared + ends, block=once, transient=transient, casts=casts)


def block_bytes(shape: ModelShape, setup: Setup) -> int:
    """Return what one block keeps, without the attention mask and copies of weights."""
    per_token = (
        shape.norms * _norm_bytes(shape, setup)
        + _qk_norm(shape, setup)
        + _attention(shape, setup)
        + _linear_inputs(shape, setup)
        + _feed_forward(shape, setup)
        + _experts(shape, setup)
    )
    return setup.tokens * per_token


def _norm_bytes(shape: ModelShape, setup: Setup) -> int:
    normalised = 0 if shape.lora else setup.stream_bytes
    return shape.hidden * (4 + normalised) + 4


def _qk_norm(shape: ModelShape, setup: Setup) -> int:
    if not shape.qk_norm:
        return 0
    normalised = 0 if shape.lora else setup.compute_bytes
    return (shape.queries + shape.keys) * (4 + normalised) + 4 * (shape.heads + shape.kv_heads)


def _masked(setup: Setup) -> bool:
    return setup.padded and setup.attention == "sdpa"


def _attention(shape: ModelShape, setup: Setup) -> int:
    repeated = setup.attention == "eager" or _masked(setup)
    keys = shape.queries if repeated else shape.keys
    kept = setup.compute_bytes * (2 * shape.queries + 2 * keys) + 4 * shape.heads
    if setup.attention == "eager":
        scores = 4 + (setup.compute_bytes if setup.compute_bytes < 4 else 0)
        kept += shape.heads * setup.length * scores
    return kept


def _masks(shape: ModelShape, setup: Setup) -> int:
    return setup.tokens * setup.length * setup.compute_bytes if _masked(setup) else 0


def _linear_inputs(shape: ModelShape, setup: Setup) -> int:
    """Return the bytes of inputs kept for the weights' gradients, the adapters' or the layers' own."""
    if shape.lora is not None:
        return _adapter_inputs(shape, shape.lora, setup)
    # The output projection reads what attention keeps anyway.
    read = [linear for linear in shape.linears if not linear.output]
    if setup.autocast:
        return setup.compute_bytes * sum(linear.inputs for linear in read)
    return setup.compute_bytes * sum(inputs for _, inputs in {(linear.owner, linear.inputs) for linear in read})


def _adapter_inputs(shape: ModelShape, lora: Lora, setup: Setup) -> int:
    adapted = [linear for linear in shape.linears if linear.adapted]
    # PEFT keeps adapters in fp32, and casts each one's input to that; autocast then casts it down.
    each = setup.compute_bytes if setup.autocast else 4
    outputs = each * lora.rank * len(adapted)
    if lora.dropout:
        return outputs + sum(linear.inputs for linear in adapted) * (each + 1)
    if setup.compute_bytes == 4:
        shared = {(linear.owner, linear.inputs) for linear in adapted if not linear.output}
        return outputs + each * sum(inputs for _, inputs in shared)
    return outputs + each * sum(linear.inputs for linear in adapted)


def _feed_forward(shape: ModelShape, setup: Setup) -> int:
    return setup.compute_bytes * shape.inner * (3 if shape.gated else 1)


def _experts(shape: ModelShape, setup: Setup) -> int:
    """Return what the chosen experts keep: their gathered inputs, three inner tensors and a product, their outputs."""
    if not shape.experts:
        return 0
    chosen = shape.experts_per_token
    inner = setup.stream_bytes * chosen * (2 * shape.hidden + 4 * shape.expert_inner)
    router = (setup.compute_bytes * shape.hidden if setup.autocast else 0) + 4 * shape.experts + 36 * chosen
    return inner + router


def _widest(shape: ModelShape) -> int:
    return max(shape.inner, shape.experts_per_token * shape.expert_inner)
