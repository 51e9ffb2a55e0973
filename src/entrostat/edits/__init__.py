"""Edits: pure changes of the inputs of the host's objective."""

# Written by docs/make_exports.py from the modules beside this file.

from entrostat.edits._advantages import (
    DivergenceAdvantage,
    EntropyAdvantage,
    EntropyMask,
    ScaleAdvantage,
    SurprisalWeights,
)
from entrostat.edits._base import EDITABLE, ROLLOUT_EDITABLE, Edit
from entrostat.edits._covariance import CovarianceMask, CovarianceWeight
from entrostat.edits._grouping import FlexibleBounds, GroupedRatio, SequenceRatio
from entrostat.edits._ratio import ClipBounds, ClippedWeight, DualClip, EntropyRatioMask, PreservedGradient
from entrostat.edits._rewards import CuriosityReward, SelfReward, VerifiedAdvantage
from entrostat.edits._rollouts import BandFilter, DifficultyWeight, SharpenedLogits, UncertaintyAdvantage

__all__ = [
    "EDITABLE", "ROLLOUT_EDITABLE", "BandFilter", "ClipBounds", "ClippedWeight", "CovarianceMask", "CovarianceWeight",
    "CuriosityReward", "DifficultyWeight", "DivergenceAdvantage", "DualClip", "Edit", "EntropyAdvantage", "EntropyMask",
    "EntropyRatioMask", "FlexibleBounds", "GroupedRatio", "PreservedGradient", "ScaleAdvantage", "SelfReward",
    "SequenceRatio", "SharpenedLogits", "SurprisalWeights", "UncertaintyAdvantage", "VerifiedAdvantage",
]  # fmt: skip
