"""Floating-point operations of an update and of drawing its rollouts, and what drawing has to read.

The forward pass of a product with a matrix of `n` weights is `2 n` operations per token, the backward pass twice that
(Kaplan et al., "Scaling Laws for Neural Language Models", arXiv 2001.08361: 6 N per token), and with gradient
checkpointing the blocks' forward pass is made again. Added here: attention's products, `2 L Q` per token and block for
`L` positions under a causal mask, twice that under an explicit one, which no kernel skips the upper half of; and the
fused head, whose backward pass forms the products anew (4 products of `2 D V` per scored token; 3 if they were kept).

Drawing is one forward pass per token, without the factor for the backward pass. But it goes token by token, and every
one of its steps reads all weights and the keys and values so far, whatever the number of sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.integrations.plan._setup import Setup
from entrostat.integrations.plan._shape import ModelShape
from entrostat.ops import KEPT_PRODUCT_BYTES


@dataclass(frozen=True, kw_only=True)
class Work:
    """Operations of one micro-batch on one GPU, and the parameters its optimizer step visits."""

    blocks: float
    attention: float
    head: float
    parameters: int

    @property
    def total(self) -> float:
        """All operations."""
        return self.blocks + self.attention + self.head


def work(shape: ModelShape, setup: Setup) -> Work:
    """Return the operations of one update on one micro-batch."""
    weights = shape.active - shape.embedding_parameters
    passes = 4 if setup.checkpointing else 3
    masked = 2 if setup.padded and setup.attention == "sdpa" else 1
    kept = setup.rows * shape.vocab * setup.compute_bytes <= KEPT_PRODUCT_BYTES
    return Work(
        blocks=2.0 * passes * weights * setup.tokens,
        attention=2.0 * passes * masked * shape.layers * shape.queries * setup.length * setup.tokens,
        head=2.0 * (3 if kept else 4) * shape.head_parameters * setup.rows,
        parameters=shape.trainable,
    )


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What drawing one GPU's responses takes, with a cache of keys and values."""

    operations: float
    steps: int
    """Passes one after another: as many as the longest response has tokens."""
    weights_read: float
    """Bytes of weights, all of them at every step."""
    cache_read: float
    """Bytes of keys and values."""


def drawing(shape: ModelShape, setup: Setup) -> Drawing:
    """Return what it takes to draw `setup.drawn` responses of full length to prompts of full length."""
    weights = shape.active - shape.embedding_parameters
    length, steps, count = setup.length, setup.completion, setup.drawn
    # Position t looks at t others: L^2 / 2 in all, and twice 2 Q operations for each.
    attention = 2.0 * shape.layers * shape.queries * length**2
    per_sequence = 2.0 * weights * length + attention + 2.0 * shape.head_parameters * steps
    looked_at = steps * setup.prompt + steps**2 / 2
    read = shape.parameters - shape.embedding_parameters + shape.head_parameters
    return Drawing(
        operations=count * per_sequence,
        steps=steps,
        weights_read=float(steps) * read * setup.compute_bytes,
        cache_read=2.0 * count * looked_at * shape.layers * shape.keys * setup.compute_bytes,
    )
