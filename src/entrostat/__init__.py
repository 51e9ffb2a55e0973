"""entrostat: the thermostat for policy entropy in LLM reinforcement learning.

    import entrostat as es

    recipe = es.recipes.aent(clamp=0.33, low=0.15, high=0.24)
    from entrostat.integrations.trl import EntropyGRPOTrainer
    trainer = EntropyGRPOTrainer(model, reward_funcs, args=args, train_dataset=dataset, recipe=recipe)

The core needs torch alone; the trainer, the command line and the report come with extras.
"""

from importlib.metadata import version as _version

from entrostat import controllers as controllers
from entrostat import edits as edits
from entrostat import losses as losses
from entrostat import measures as measures
from entrostat import ops as ops
from entrostat import recipes as recipes
from entrostat import terms as terms
from entrostat.batch import TokenBatch as TokenBatch
from entrostat.control import Control as Control
from entrostat.losses import Tally as Tally
from entrostat.observe._monitor import monitor as monitor
from entrostat.recipes import Recipe as Recipe
from entrostat.regulator import Regulator as Regulator

__version__ = _version("entrostat")

__all__ = [
    "Control",
    "Recipe",
    "Regulator",
    "Tally",
    "TokenBatch",
    "controllers",
    "edits",
    "losses",
    "measures",
    "monitor",
    "ops",
    "recipes",
    "terms",
]
