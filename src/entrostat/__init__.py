"""entrostat: the thermostat for policy entropy in LLM reinforcement learning.

    import entrostat as es

    recipe = es.recipes.aent(clamp=0.33, low=0.15, high=0.24)
    from entrostat.integrations.trl import EntropyGRPOTrainer
    trainer = EntropyGRPOTrainer(model, reward_funcs, args=args, train_dataset=dataset, recipe=recipe)

Public names are loaded when they are first used, so that reading logs needs neither torch nor a second of start-up.
A name that needs a package which is not installed raises an `ImportError` that says which extra brings it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from entrostat.errors import missing_package

if TYPE_CHECKING:
    from entrostat import controllers as controllers
    from entrostat import edits as edits
    from entrostat import integrations as integrations
    from entrostat import lab as lab
    from entrostat import losses as losses
    from entrostat import measures as measures
    from entrostat import observe as observe
    from entrostat import ops as ops
    from entrostat import recipes as recipes
    from entrostat import tasks as tasks
    from entrostat import terms as terms
    from entrostat.batch import TokenBatch as TokenBatch
    from entrostat.control import Control as Control
    from entrostat.losses import Tally as Tally
    from entrostat.observe.diagnose import diagnose_run as diagnose_run
    from entrostat.observe.monitoring import monitor as monitor
    from entrostat.observe.report import load_runs as load_runs
    from entrostat.observe.report import write_report as write_report
    from entrostat.recipes import Recipe as Recipe
    from entrostat.regulator import Regulator as Regulator

__version__ = "0.1.0.dev0"

__all__ = [
    "Control",
    "Recipe",
    "Regulator",
    "Tally",
    "TokenBatch",
    "controllers",
    "diagnose_run",
    "edits",
    "integrations",
    "lab",
    "load_runs",
    "losses",
    "measures",
    "monitor",
    "observe",
    "ops",
    "recipes",
    "tasks",
    "terms",
    "write_report",
]

# Where the names that are no packages of their own come from.
_HOMES = {
    "Control": "control",
    "Recipe": "recipes",
    "Regulator": "regulator",
    "Tally": "losses",
    "TokenBatch": "batch",
    "diagnose_run": "observe.diagnose",
    "load_runs": "observe.report",
    "monitor": "observe.monitoring",
    "write_report": "observe.report",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'entrostat' has no attribute {name!r}")
    try:
        module = import_module(f"entrostat.{_HOMES.get(name, name)}")
        value = getattr(module, name) if name in _HOMES else module
    except ModuleNotFoundError as error:
        raise ImportError(missing_package(f"entrostat.{name}", error), name=error.name) from None
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
