"""How the model is trained, as far as memory, time and traffic depend on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from entrostat.errors import require, require_count, require_finite, unknown_name

SHARDINGS = {
    "none": "one GPU",
    "ddp": "DDP: every GPU holds everything",
    "zero1": "ZeRO-1: the optimiser is sharded",
    "zero2": "ZeRO-2: optimiser and gradients are sharded",
    "zero3": "ZeRO-3: parameters too are sharded",
    "fsdp2": "FSDP2, full shard: parameters, gradients and optimiser are sharded",
}
"""How the work is divided over GPUs, and how that is called in a table."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Per number of a dtype."""

OPTIMIZERS = {
    "adamw_torch_fused": "two moments in the parameters' dtype",
    "adamw_torch": "two moments in the parameters' dtype",
    "adamw_bnb_8bit": "two moments of one byte",
    "adamw_8bit": "two moments of one byte",
    "paged_adamw_8bit": "two moments of one byte, paged to the host when short",
    "sgd": "no state",
}
"""transformers' names of the optimisers that the plan can count, and what they hold per parameter."""

ATTENTIONS = ("sdpa", "flash_attention_2", "eager")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is chosen. The defaults are TRL's for GRPO.

    Args:
        sequences: sequences per GPU and micro-batch (`per_device_train_batch_size`).
        prompt: tokens of the longest prompt.
        completion: tokens of the longest response.
        rollouts: sequences a GPU generates at a time; 0 for one micro-batch.
        weights: dtype the parameters are loaded in; TRL loads float32 unless told otherwise.
        compute: dtype of the matrix products (autocast's).
        optimizer: transformers' name of it.
        checkpointing: whether blocks are recomputed in the backward pass.
        attention: transformers' `attn_implementation`.
        padded: whether sequences of a batch differ in length, so that attention gets a mask.
        sharding: a name of `SHARDINGS`.
        gpus: how many.
        reference: whether a reference model is kept (`beta` above 0).
        vllm: "off", "server" (on other GPUs), or "colocate".
        vllm_share: share of each GPU that a colocated vLLM takes.
        vllm_sleeps: whether it gives its memory back during the update.
        compact: whether the head sees the response tokens only; on a CPU TRL hands it all positions.
    """

    sequences: int
    prompt: int
    completion: int
    rollouts: int = 0
    weights: str = "float32"
    compute: str = "bfloat16"
    optimizer: str = "adamw_torch_fused"
    checkpointing: bool = True
    attention: str = "sdpa"
    padded: bool = True
    sharding: str = "none"
    gpus: int = 1
    reference: bool = False
    vllm: str = "off"
    vllm_share: float = 0.3
    vllm_sleeps: bool = False
    compact: bool = True

    def __post_init__(self) -> None:
        for name in ("sequences", "completion", "gpus"):
            require_count(name, getattr(self, name), least=1)
        for name in ("prompt", "rollouts"):
            require_count(name, getattr(self, name))
        for name in ("weights", "compute"):
            _known("dtype", getattr(self, name), BYTES)
        _known("sharding", self.sharding, SHARDINGS)
        _known("attention", self.attention, ATTENTIONS)
        _known("optimiser (of those the plan can count)", self.optimizer, OPTIMIZERS)
        _known("use of vLLM", self.vllm, ("off", "server", "colocate"))
        require(0 < require_finite("vllm_share", self.vllm_share) < 1, "vllm_share", "lie in (0, 1)", self.vllm_share)
        one = self.sharding == "none"
        require(one == (self.gpus == 1), "sharding", f"fit {self.gpus} GPUs", self.sharding, _FIT)

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self.prompt + self.completion

    @property
    def tokens(self) -> int:
        """Tokens of a micro-batch."""
        return self.sequences * self.length

    @property
    def rows(self) -> int:
        """Tokens of a micro-batch that the head scores."""
        return self.sequences * (self.completion if self.compact else self.length - 1)

    @property
    def drawn(self) -> int:
        """Sequences a GPU generates at a time."""
        return max(self.rollouts, self.sequences)

    @property
    def weight_bytes(self) -> int:
        """Per parameter as it is held."""
        return 2 if self.sharding.startswith("zero") and self.mixed else BYTES[self.weights]

    @property
    def compute_bytes(self) -> int:
        """Per number of a matrix product."""
        return min(BYTES[self.compute], BYTES[self.weights])

    @property
    def mixed(self) -> bool:
        """Whether full-precision parameters meet half-precision products."""
        return BYTES[self.compute] < BYTES[self.weights]

    @property
    def autocast(self) -> bool:
        """Whether autocast copies the weights: mixed, and neither FSDP2 nor DeepSpeed has cast them already."""
        return self.mixed and self.sharding in ("none", "ddp")

    @property
    def stream_bytes(self) -> int:
        """Per number of the residual stream: what the embedding gives out."""
        return 4 if self.autocast else self.compute_bytes


_FIT = 'One GPU has "none"; several have "ddp", "zero1", "zero2", "zero3" or "fsdp2".'


def _known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise unknown_name(kind, name, known)
