"""verl: a plug-in that verl finds by itself, in the driver and in every Ray worker.

    VERL_ENGINE_VENDOR=entrostat python -m verl.trainer.main_ppo \\
        'hydra.searchpath=[pkg://entrostat.integrations.verl.config]' +entrostat=control \\
        entrostat.recipe=aent +entrostat.parameters.low=0.15 +entrostat.parameters.high=0.24 ...

Importing this package does not import verl. It adds an engine (`_engine`), a loss around verl's own (`_loss`), a
controller on the driver (`_driver`) and a trainer that joins them (`_trainer`).
"""

from entrostat.integrations.verl._config import EntropyConfig as EntropyConfig
from entrostat.integrations.verl._driver import Driver as Driver
from entrostat.integrations.verl._loss import EntropyLoss as EntropyLoss

__all__ = ["Driver", "EntropyConfig", "EntropyLoss"]
