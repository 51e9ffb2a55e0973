"""Control laws: measured entropy in, coefficient out. Pure Python numbers, one file per law.

controller = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
state = controller.init()
state = controller.update(state, entropy=0.12)      # once per window, with the global mean
controller.coefficient(state)                       # any number of times
"""

from entrostat.controllers._anchored import Anchored
from entrostat.controllers._annealed import Annealed
from entrostat.controllers._band import Band, resolved_band
from entrostat.controllers._base import (
    Controller,
    NonFiniteEntropyWarning,
    needs_total,
    state_from_dict,
    state_to_dict,
    with_total,
)
from entrostat.controllers._constant import Constant
from entrostat.controllers._dual import Dual
from entrostat.controllers._hysteresis import Hysteresis
from entrostat.controllers._proportional import Proportional
from entrostat.controllers._proportional_integral import ProportionalIntegral
from entrostat.controllers._relay import Relay
from entrostat.controllers._schedule import Schedule
from entrostat.controllers._squared_anchor import SquaredAnchor
from entrostat.controllers._step import Step

__all__ = [
    "Anchored",
    "Annealed",
    "Band",
    "Constant",
    "Controller",
    "Dual",
    "Hysteresis",
    "NonFiniteEntropyWarning",
    "Proportional",
    "ProportionalIntegral",
    "Relay",
    "Schedule",
    "SquaredAnchor",
    "Step",
    "needs_total",
    "resolved_band",
    "state_from_dict",
    "state_to_dict",
    "with_total",
]
