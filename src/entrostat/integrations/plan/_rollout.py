"""What drawing rollouts with transformers takes; vLLM takes the share it is given."""

from __future__ import annotations

from entrostat.integrations.plan._setup import Setup
from entrostat.integrations.plan._shape import ModelShape


def generation_bytes(shape: ModelShape, setup: Setup) -> int:
    """Return what transformers' generation holds: keys and values, one step's logits, copies of the weights.

    Rotated keys come in the residual stream's dtype, values in that of the products. The logits of a step are held in
    that too, and twice in fp32, for the copy and for its softmax.
    """
    cache = setup.length * shape.layers * shape.keys * (setup.stream_bytes + setup.compute_bytes)
    logits = shape.vocab * (setup.compute_bytes + 8)
    copies = setup.compute_bytes * (shape.cast_parameters + shape.head_parameters) if setup.autocast else 0
    # DeepSpeed's `ds3_gather_for_generation`, on by default, puts the whole model on every GPU.
    whole = shape.parameters * setup.weight_bytes if setup.sharding == "zero3" else 0
    return setup.drawn * (cache + logits) + copies + whole
