"""What is wrong with a run, from its log alone, and what to try next.

    found = diagnose(Path("trainer_state.json"))

The log may be ours or another's: TRL, TensorBoard, verl, or a table. Nothing here needs torch or a model.
"""

from entrostat.observe.diagnose._advice import Advice as Advice
from entrostat.observe.diagnose._diagnosis import Diagnosis as Diagnosis
from entrostat.observe.diagnose._diagnosis import diagnose as diagnose
from entrostat.observe.diagnose._read import read as read

__all__ = ["Advice", "Diagnosis", "diagnose", "read"]
