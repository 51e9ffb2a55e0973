"""What curves say: findings such as a collapse, the entropy-performance law, statistics over seeds. No torch.

The report, the diagnosis and the monitor all read from here, so a word means the same wherever it stands.
"""

from entrostat.observe.analysis._alarms import Alarm as Alarm
from entrostat.observe.analysis._alarms import alarms as alarms
from entrostat.observe.analysis._curves import Curves as Curves
from entrostat.observe.analysis._law import Law as Law
from entrostat.observe.analysis._law import NoLaw as NoLaw
from entrostat.observe.analysis._law import fit_law as fit_law
from entrostat.observe.analysis._law import pairs as pairs

__all__ = ["Alarm", "Curves", "Law", "NoLaw", "alarms", "fit_law", "pairs"]
