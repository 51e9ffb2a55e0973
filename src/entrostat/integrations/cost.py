"""The cost of entropy control: memory of the head and its statistics, and bytes between ranks.

Only what a recipe or our fused head changes is counted. For parameters, gradients and optimizer state ask
`accelerate estimate-memory MODEL`; activations are measured best, by a short run.

Both fused heads work through the scored tokens chunk by chunk. Ours holds whole rows of logits; TRL's a tile of 4,096
rows by 32,768 columns. In the backward pass both sum the gradient of the head's matrix in fp32. A plain head holds
logits `[rows, V]` and, in the backward pass, their gradient; most hold several copies more (docs/performance.md has
measured ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from entrostat.errors import require_count, unknown_name
from entrostat.ops import KEPT_PRODUCT_BYTES, SAVED_ROW_BYTES, rows_per_chunk

GIB = 1 << 30

TRL_TILE = (4096, 32768)
"""Rows and columns of the tile of logits that TRL's own fused head works on."""

CONTROL_BYTES = 60
"""Bytes that `aent` puts into all-reduces per optimizer step; tests/integrations/trl/test_traffic.py counts them."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Per number of a dtype."""


@dataclass(frozen=True, kw_only=True)
class HeadCost:
    """Bytes of the head for one micro-batch."""

    rows: int
    """Scored tokens."""
    avoided: int
    """Logits and their gradient, which a plain head holds and a fused one does not."""
    held: int
    """Logits that our head holds at a time."""
    held_by_trl: int
    """Logits that TRL's own fused head holds at a time."""
    hidden: int
    """The scored tokens' hidden states, from the forward to the backward pass."""
    statistics: int
    """Our statistics of them, from the forward to the backward pass."""
    forward: int
    """The most the forward pass holds beside hidden states and statistics."""
    backward: int
    """The most the backward pass holds beside hidden states and statistics."""

    @property
    def sentence(self) -> str:
        """The cost in words."""
        return (
            f"the fused head avoids {_gib(self.avoided)} GiB of logits and their gradient for {self.rows:,} tokens; "
            f"it holds {_gib(self.held)} GiB of them at a time (TRL's own {_gib(self.held_by_trl)}), "
            f"and {_gib(self.statistics)} GiB of statistics."
        )


def head_cost(
    rows: int,
    vocab: int,
    width: int,
    *,
    compute: str = "bfloat16",
    weights: str = "float32",
    trained: bool = True,
    softcap: bool = False,
) -> HeadCost:
    """Return the bytes of the fused head for one micro-batch, beside those of a plain head.

    Args:
        rows: scored tokens N of a micro-batch: sequences times response tokens.
        vocab: rows V of the head's matrix.
        width: its columns D.
        compute: dtype of the matrix products (autocast's).
        weights: dtype the parameters are in.
        trained: whether the matrix gets a gradient; under LoRA it has none.
        softcap: whether the model bends its logits.

    Raises:
        ValueError: a size below 1, or an unknown dtype.

    Example:
        >>> cost = head_cost(8 * 1536, 151_936, 1536)
        >>> cost.avoided >> 20, cost.held >> 20, cost.statistics
        (7122, 63, 540672)
    """
    for name, value in (("rows", rows), ("vocab", vocab), ("width", width)):
        require_count(name, value, least=1)
    for dtype in (compute, weights):
        if dtype not in BYTES:
            raise unknown_name("dtype", dtype, BYTES)
    size = min(BYTES[compute], BYTES[weights])
    autocast = size < BYTES[weights]
    at_once, matrix = min(rows, rows_per_chunk(vocab)), vocab * width
    logits, chunk = rows * vocab * size, at_once * vocab * size
    # So few are kept from the forward to the backward pass instead of being formed twice.
    held = logits if logits <= KEPT_PRODUCT_BYTES else chunk
    hidden = rows * width * (4 if autocast else size)
    # Autocast's copies of the matrix and of a chunk's hidden states; fp32 logits before and after the bend.
    working = (matrix + at_once * width) * size if autocast else 0
    working += chunk // size * 4 * 2 if softcap else 0
    # The matrix's gradient is summed in fp32, then rounded to the parameters' dtype beside the sum.
    gradients = hidden + (matrix * (4 + (BYTES[weights] if BYTES[weights] < 4 else 0)) if trained else 0)
    return HeadCost(
        rows=rows,
        avoided=2 * logits,
        held=held,
        held_by_trl=min(rows, TRL_TILE[0]) * min(vocab, TRL_TILE[1]) * size,
        hidden=hidden,
        statistics=rows * SAVED_ROW_BYTES,
        forward=working + held,
        # Beside the logits a chunk's product with the matrix.
        backward=working + gradients + at_once * width * size + held,
    )


def ring_bytes(size: int, ranks: int) -> int:
    """Return the bytes each rank sends in a ring all-reduce of `size` bytes: `2 (R - 1) / R` of them.

    Example:
        >>> ring_bytes(CONTROL_BYTES, 1000)
        119
    """
    return 2 * (ranks - 1) * size // ranks


def meta_model(model: str, *, trust_remote_code: bool = False) -> Any:
    """Return a model on torch's `meta` device from its `config.json`: every module, no weights.

    Args:
        model: directory with a `config.json`, or hub id.
        trust_remote_code: whether code that comes with the model may run, as for transformers.

    Raises:
        ValueError: there is no such config, or it is not one of a causal language model.
    """
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        if Path(model).expanduser().is_dir():
            raise ValueError(
                f"`model` must hold a readable config.json, got model={model!r}: {_first(error)}"
            ) from None
        raise ValueError(
            "`model` must be a directory with a config.json or a hub id whose config can be fetched, got "
            f"model={model!r}, which could not be fetched here. Save its config.json into a directory and name that."
        ) from None
    named = getattr(transformers, (config.architectures or [""])[0], None)
    try:
        with torch.device("meta"):
            if named is not None:
                return named._from_config(config)
            return transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"`model` must be a causal language model, got {model!r}: {_first(error)}") from None


def parameters(model: Any) -> int:
    """Return how many parameters a model has, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def model_head_cost(model: Any, rows: int, **how: Any) -> HeadCost:
    """Return `head_cost` for the head of a model, which may be on torch's `meta` device."""
    vocab, width = model.get_output_embeddings().weight.shape
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None) is not None
    return head_cost(rows, vocab, width, softcap=softcap, **how)


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size >= GIB / 100 else f"{size / GIB:.4f}"
