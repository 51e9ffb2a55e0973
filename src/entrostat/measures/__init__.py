"""Measures: logits `[..., V]` -> one value per token `[...]`, in nats, differentiable. One file each.

Every measure comes twice: as a function of logits (`clamped`) and as a frozen setting that a recipe can hold
(`Clamped`).
"""

from entrostat.measures._base import Measure as Measure
from entrostat.measures._clamped import Clamped as Clamped
from entrostat.measures._clamped import clamped as clamped
from entrostat.measures._normalized import Normalized as Normalized
from entrostat.measures._normalized import normalized as normalized
from entrostat.measures._nucleus import Nucleus as Nucleus
from entrostat.measures._nucleus import nucleus as nucleus
from entrostat.measures._shannon import Shannon as Shannon
from entrostat.measures._shannon import shannon as shannon
from entrostat.measures._top_k import TopK as TopK
from entrostat.measures._top_k import top_k as top_k
from entrostat.measures._tsallis import Tsallis as Tsallis
from entrostat.measures._tsallis import tsallis as tsallis

MEASURES: dict[str, type[Measure]] = {
    "clamped": Clamped,
    "normalized": Normalized,
    "nucleus": Nucleus,
    "shannon": Shannon,
    "top_k": TopK,
    "tsallis": Tsallis,
}

__all__ = [
    "MEASURES",
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
