"""Control laws: measured entropy in, coefficient out. Pure Python numbers, one file per law.

controller = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)
state = controller.init()
state = controller.update(state, entropy=0.12)      # once per window, with the global mean
controller.coefficient(state)                       # any number of times
"""

from entrostat.controllers._anchored import Anchored as Anchored
from entrostat.controllers._annealed import Annealed as Annealed
from entrostat.controllers._band import Band as Band
from entrostat.controllers._band import resolved_band as resolved_band
from entrostat.controllers._base import Controller as Controller
from entrostat.controllers._base import NonFiniteEntropyWarning as NonFiniteEntropyWarning
from entrostat.controllers._base import needs_total as needs_total
from entrostat.controllers._base import state_from_dict as state_from_dict
from entrostat.controllers._base import state_to_dict as state_to_dict
from entrostat.controllers._base import with_total as with_total
from entrostat.controllers._constant import Constant as Constant
from entrostat.controllers._dual import Dual as Dual
from entrostat.controllers._hysteresis import Hysteresis as Hysteresis
from entrostat.controllers._proportional import Proportional as Proportional
from entrostat.controllers._proportional_integral import ProportionalIntegral as ProportionalIntegral
from entrostat.controllers._relay import Relay as Relay
from entrostat.controllers._schedule import Schedule as Schedule
from entrostat.controllers._squared_anchor import SquaredAnchor as SquaredAnchor
from entrostat.controllers._step import Step as Step

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
