"""TRL: `EntropyGRPOTrainer` is `GRPOTrainer` with one more argument, `recipe=`.

    from entrostat.integrations.trl import EntropyGRPOTrainer
    trainer = EntropyGRPOTrainer(model, reward_funcs, args=GRPOConfig(...), train_dataset=ds, recipe=recipe)

Importing this package imports TRL and checks, in a few milliseconds, that the installed release still works the way the
hooks rely on.
"""

from entrostat.errors import missing_package

try:
    from entrostat.integrations.trl._refusals import check_recipe as check_recipe
    from entrostat.integrations.trl._selfcheck import SUPPORTED as SUPPORTED
    from entrostat.integrations.trl._selfcheck import verify_host as verify_host

    verify_host()
except ModuleNotFoundError as error:
    raise ImportError(missing_package("entrostat.integrations.trl", error, "trl"), name=error.name) from None

from entrostat.integrations.trl._overrides import verify_overrides
from entrostat.integrations.trl._trainer import EntropyGRPOTrainer as EntropyGRPOTrainer

verify_overrides(EntropyGRPOTrainer)

__all__ = ["SUPPORTED", "EntropyGRPOTrainer", "check_recipe", "verify_host"]
