"""Finds what is wrong with a run from its log alone, and says what to try next.

    (found,) = diagnose_run("trainer_state.json")
    print(found.as_text())

The log may be our own, or that of TRL, TensorBoard or verl, or a table. Nothing here needs torch or a model.
"""

from entrostat.observe.diagnose._advice import Advice as Advice
from entrostat.observe.diagnose._diagnosis import Diagnosis as Diagnosis
from entrostat.observe.diagnose._diagnosis import diagnose_curves as diagnose_curves
from entrostat.observe.diagnose._diagnosis import diagnose_run as diagnose_run
from entrostat.observe.diagnose._read import read as read

__all__ = ["Advice", "Diagnosis", "diagnose_curves", "diagnose_run", "read"]
