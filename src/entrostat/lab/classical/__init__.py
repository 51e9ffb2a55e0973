"""The classical entropy methods, one file each: small, faithful, and checked by the claims `classical_*`."""

from entrostat.lab.classical._decoupled import box_entropy_range as box_entropy_range
from entrostat.lab.classical._decoupled import decoupled_temperature as decoupled_temperature
from entrostat.lab.classical._decoupled import escape_grid as escape_grid
from entrostat.lab.classical._decoupled import two_branches as two_branches
from entrostat.lab.classical._decoupled import waiting_room as waiting_room
from entrostat.lab.classical._multilevel import Multilevel as Multilevel
from entrostat.lab.classical._multilevel import Nested as Nested
from entrostat.lab.classical._multilevel import antithetic_difference as antithetic_difference
from entrostat.lab.classical._multilevel import blanchet_glynn as blanchet_glynn
from entrostat.lab.classical._multilevel import draw_group_size as draw_group_size
from entrostat.lab.classical._multilevel import log_mean_exp as log_mean_exp
from entrostat.lab.classical._sequence_entropy import Estimator as Estimator
from entrostat.lab.classical._sequence_entropy import SequenceEntropyBonus as SequenceEntropyBonus
from entrostat.lab.classical._sequence_entropy import sequence_entropy as sequence_entropy
from entrostat.lab.classical._sequence_entropy import sequence_entropy_surrogate as sequence_entropy_surrogate
from entrostat.lab.classical._token_tree import Sequences as Sequences
from entrostat.lab.classical._token_tree import every_sequence as every_sequence
from entrostat.lab.classical._token_tree import gradient_per_sequence as gradient_per_sequence
from entrostat.lab.classical._token_tree import random_tree as random_tree

__all__ = [
    "Estimator",
    "Multilevel",
    "Nested",
    "SequenceEntropyBonus",
    "Sequences",
    "antithetic_difference",
    "blanchet_glynn",
    "box_entropy_range",
    "decoupled_temperature",
    "draw_group_size",
    "escape_grid",
    "every_sequence",
    "gradient_per_sequence",
    "log_mean_exp",
    "random_tree",
    "sequence_entropy",
    "sequence_entropy_surrogate",
    "two_branches",
    "waiting_room",
]
