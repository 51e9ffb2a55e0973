"""Edits: pure changes of what the host's objective reads. One idea per file."""

from entrostat.edits._band_filter import BandFilter as BandFilter
from entrostat.edits._base import EDITABLE as EDITABLE
from entrostat.edits._base import ROLLOUT_EDITABLE as ROLLOUT_EDITABLE
from entrostat.edits._base import Edit as Edit
from entrostat.edits._clip_bounds import ClipBounds as ClipBounds
from entrostat.edits._clipped_weight import ClippedWeight as ClippedWeight
from entrostat.edits._covariance_mask import CovarianceMask as CovarianceMask
from entrostat.edits._covariance_weight import CovarianceWeight as CovarianceWeight
from entrostat.edits._curiosity_reward import CuriosityReward as CuriosityReward
from entrostat.edits._difficulty_weight import DifficultyWeight as DifficultyWeight
from entrostat.edits._divergence_advantage import DivergenceAdvantage as DivergenceAdvantage
from entrostat.edits._dual_clip import DualClip as DualClip
from entrostat.edits._entropy_advantage import EntropyAdvantage as EntropyAdvantage
from entrostat.edits._entropy_mask import EntropyMask as EntropyMask
from entrostat.edits._entropy_ratio_mask import EntropyRatioMask as EntropyRatioMask
from entrostat.edits._flexible_bounds import FlexibleBounds as FlexibleBounds
from entrostat.edits._grouped_ratio import GroupedRatio as GroupedRatio
from entrostat.edits._preserved_gradient import PreservedGradient as PreservedGradient
from entrostat.edits._scale_advantage import ScaleAdvantage as ScaleAdvantage
from entrostat.edits._self_reward import SelfReward as SelfReward
from entrostat.edits._sequence_ratio import SequenceRatio as SequenceRatio
from entrostat.edits._sharpened_logits import SharpenedLogits as SharpenedLogits
from entrostat.edits._surprisal_weights import SurprisalWeights as SurprisalWeights
from entrostat.edits._uncertainty_advantage import UncertaintyAdvantage as UncertaintyAdvantage
from entrostat.edits._verified_advantage import VerifiedAdvantage as VerifiedAdvantage

__all__ = [
    "EDITABLE",
    "ROLLOUT_EDITABLE",
    "BandFilter",
    "ClipBounds",
    "ClippedWeight",
    "CovarianceMask",
    "CovarianceWeight",
    "CuriosityReward",
    "DifficultyWeight",
    "DivergenceAdvantage",
    "DualClip",
    "Edit",
    "EntropyAdvantage",
    "EntropyMask",
    "EntropyRatioMask",
    "FlexibleBounds",
    "GroupedRatio",
    "PreservedGradient",
    "ScaleAdvantage",
    "SelfReward",
    "SequenceRatio",
    "SharpenedLogits",
    "SurprisalWeights",
    "UncertaintyAdvantage",
    "VerifiedAdvantage",
]
