"""Floating-point operations of one update, and the time they take at measured rates.

The forward pass of a product with a matrix of `n` weights is `2 n` operations per token, the backward pass twice that
(Kaplan et al., "Scaling Laws for Neural Language Models", arXiv 2001.08361: 6 N per token), and with gradient
checkpointing the blocks' forward pass is made again. Added here: attention's products, `2 L Q` per token and block for
`L` positions under a causal mask, twice that under an explicit one, which no kernel skips the upper half of; and the
fused head, whose backward pass forms the products anew (4 products of `2 D V` per scored token; 3 if they were kept).
"""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.ops._linear_token_stats import KEPT_BYTES
from entrostat.plan._setup import Setup
from entrostat.plan._shape import ModelShape


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
    kept = setup.rows * shape.vocab * setup.compute_bytes <= KEPT_BYTES
    return Work(
        blocks=2.0 * passes * weights * setup.tokens,
        attention=2.0 * passes * masked * shape.layers * shape.queries * setup.length * setup.tokens,
        head=2.0 * (3 if kept else 4) * shape.head_parameters * setup.rows,
        parameters=shape.trainable,
    )
