"""Settings to start with for a model: its entropy, the effect of a clamp, and how hard a bonus would push. No training.

    found = calibrate(model="path/to/model", data="prompts.jsonl")

`found.proposal.python` is the recipe proposed, as an expression; `write_page` draws the reasons.
"""

from entrostat.observe.calibrate._calibration import Calibration as Calibration
from entrostat.observe.calibrate._calibration import calibrate as calibrate
from entrostat.observe.calibrate._page import write_page as write_page

__all__ = ["Calibration", "calibrate", "write_page"]
