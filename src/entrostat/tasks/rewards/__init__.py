"""Rewards for answers that can be checked, with the arguments TRL gives a reward function.

They can be named by dotted path wherever a reward is named: `entrostat.tasks.rewards.math` in a job's `[data]` or in
`reward_funcs` of the TRL script. The text of a model is hostile: nothing here evaluates it, no text raises, and
none takes longer than a few seconds.
"""

from entrostat.tasks.rewards._functions import after_marker as after_marker
from entrostat.tasks.rewards._functions import boxed as boxed
from entrostat.tasks.rewards._functions import exact as exact
from entrostat.tasks.rewards._functions import final_answer as final_answer
from entrostat.tasks.rewards._functions import gsm8k as gsm8k
from entrostat.tasks.rewards._functions import math as math
from entrostat.tasks.rewards._verifier import Verifier as Verifier
from entrostat.tasks.rewards._verifier import same_value as same_value

__all__ = ["Verifier", "after_marker", "boxed", "exact", "final_answer", "gsm8k", "math", "same_value"]
