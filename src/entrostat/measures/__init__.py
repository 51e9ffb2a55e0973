"""Measures: logits `[..., V]` -> one value per token `[...]`, in nats, differentiable.

Every measure comes twice: as a function of logits (`clamped`) and as a frozen setting that a recipe can hold
(`Clamped`).
"""

from entrostat.measures._entropy import Clamped as Clamped
from entrostat.measures._entropy import Measure as Measure
from entrostat.measures._entropy import Nucleus as Nucleus
from entrostat.measures._entropy import Shannon as Shannon
from entrostat.measures._entropy import TopK as TopK
from entrostat.measures._entropy import clamped as clamped
from entrostat.measures._entropy import nucleus as nucleus
from entrostat.measures._entropy import shannon as shannon
from entrostat.measures._entropy import top_k as top_k
from entrostat.measures._normalized import Normalized as Normalized
from entrostat.measures._normalized import normalized as normalized
from entrostat.measures._tsallis import Tsallis as Tsallis
from entrostat.measures._tsallis import tsallis as tsallis

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
