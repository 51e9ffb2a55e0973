"""The plan: what one GPU holds at its fullest, whether that fits, and what to change if not."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from entrostat.errors import require, require_finite
from entrostat.integrations.plan._head import HeadBytes, head_bytes
from entrostat.integrations.plan._lines import GIB, PHASES, Line, lines_of
from entrostat.integrations.plan._setup import Setup
from entrostat.integrations.plan._shape import ModelShape
from entrostat.integrations.plan._traffic import control_bytes, host_bytes

FRAGMENTATION = 0.05
"""Allowance, not computed: share of what torch's allocator holds that it cannot use."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a GPU holds, in each of three phases that follow each other."""

    shape: ModelShape
    setup: Setup
    gpu_bytes: int
    lines: tuple[Line, ...]
    head: HeadBytes
    peaks: dict[str, int]
    """Bytes at the fullest moment of "rollout", "update" and "step", allowances included."""

    @property
    def phase(self) -> str:
        """The fullest phase."""
        return max(self.peaks, key=lambda phase: self.peaks[phase])

    @property
    def total(self) -> int:
        """Bytes at the fullest moment."""
        return self.peaks[self.phase]

    @property
    def fits(self) -> bool:
        """Whether a GPU can hold it."""
        return self.total <= self.gpu_bytes

    @property
    def remedy(self) -> str:
        """What to change first if it does not fit; empty if it does."""
        from entrostat.integrations.plan._remedy import first_remedy  # it makes plans itself

        return "" if self.fits else first_remedy(self)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        shape = {
            name: getattr(self.shape, name)
            for name in ("name", "parameters", "trainable", "active", "layers", "hidden", "vocab", "tied", "experts")
        }
        return {
            "model": shape,
            "setup": dataclasses.asdict(self.setup),
            "gpu_bytes": self.gpu_bytes,
            "lines": [dataclasses.asdict(line) for line in self.lines],
            "peaks": self.peaks,
            "fullest": self.phase,
            "bytes": self.total,
            "fits": self.fits,
            "remedy": self.remedy,
            "logits_avoided_bytes": self.head.plain,
            "logits_held_bytes": self.head.chunk,
            "logits_held_by_trl_bytes": self.head.trl_chunk,
            "sent_per_step_bytes": {
                "host": host_bytes(self.shape, self.setup), "entropy control": control_bytes(self.setup.gpus),
            },
        }  # fmt: skip


def plan_memory(shape: ModelShape, setup: Setup, *, gpu_memory: float = 80.0) -> Plan:
    """Return what one GPU holds when a model is trained so.

    Args:
        shape: the model's sizes, from `read_shape` or `shape_of`.
        setup: how it is trained.
        gpu_memory: GiB of one GPU.

    Raises:
        ValueError: `gpu_memory` is not positive.

    Example:
        >>> from transformers import Qwen2Config
        >>> from entrostat.integrations.plan import Setup, plan_memory, shape_of
        >>> heads = {"num_attention_heads": 14, "num_key_value_heads": 2}
        >>> sizes = {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "vocab_size": 151936}
        >>> shape = shape_of(Qwen2Config(**sizes, **heads, tie_word_embeddings=True))
        >>> plan = plan_memory(shape, Setup(sequences=8, prompt=256, completion=768), gpu_memory=24)
        >>> plan.fits, round(plan.total / 2**30, 1)
        (True, 10.9)
    """
    require(require_finite("gpu_memory", gpu_memory) > 0, "gpu_memory", "be positive", gpu_memory)
    gpu_bytes = int(gpu_memory * GIB)
    head = head_bytes(shape, setup)
    lines = lines_of(shape, setup, head, gpu_bytes)
    peaks = {phase: _held(lines, phase) for phase in PHASES}
    return Plan(shape=shape, setup=setup, gpu_bytes=gpu_bytes, lines=lines, head=head, peaks=peaks)


def _held(lines: tuple[Line, ...], phase: str) -> int:
    here = [line for line in lines if phase in line.phases]
    return sum(int(line.bytes * (1 + FRAGMENTATION)) if line.torch else line.bytes for line in here)
