"""Edits: pure changes of what the host's objective reads. One idea per file."""

from entrostat.edits._base import EDITABLE as EDITABLE
from entrostat.edits._base import ROLLOUT_EDITABLE as ROLLOUT_EDITABLE
from entrostat.edits._base import Edit as Edit
from entrostat.edits._clip_bounds import ClipBounds as ClipBounds
from entrostat.edits._difficulty_weight import DifficultyWeight as DifficultyWeight
from entrostat.edits._entropy_mask import EntropyMask as EntropyMask

__all__ = ["EDITABLE", "ROLLOUT_EDITABLE", "ClipBounds", "DifficultyWeight", "Edit", "EntropyMask"]
