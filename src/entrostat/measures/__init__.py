"""Measures: logits `[..., V]` -> one value per token `[...]`, in nats, differentiable.

Every measure comes twice: as a function of logits (`clamped`) and as a frozen setting that a recipe can hold
(`Clamped`).
"""

from entrostat.measures._entropy import Clamped, Measure, Nucleus, Shannon, TopK, clamped, nucleus, shannon, top_k
from entrostat.measures._normalized import Normalized, normalized
from entrostat.measures._tsallis import Tsallis, tsallis

__all__ = [
    "Clamped",
    "Measure",
    "Normalized",
    "Nucleus",
    "Shannon",
    "TopK",
    "Tsallis",
    "clamped",
    "normalized",
    "nucleus",
    "shannon",
    "top_k",
    "tsallis",
]
