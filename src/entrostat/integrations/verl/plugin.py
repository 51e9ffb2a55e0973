"""The module verl loads from its entry-point group `verl.plugins`: in the driver, the task runner and all workers.

verl loads it in the middle of its own `__init__`, and hides whatever goes wrong. So it imports nothing of verl here: it
asks to be called when verl's engines, and its trainers, have been imported. A failure then is kept in `FAILURES` and
warned about; the engine or trainer is not registered, and the rest of verl goes on as if we were not installed.

It also gives the Hydra group `entrostat` its resolver, so that a trainer which would ignore the group is refused; and
it ends a command whose settings stand without the group.
"""

# verl, and omegaconf with it, are installed in an environment of their own.
# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

FAILURES: dict[str, str] = {}
"""Module of verl's -> why nothing was registered with it."""


def _resolver() -> None:
    from omegaconf import OmegaConf

    from entrostat.integrations.verl._refusals import refuse_trainer

    OmegaConf.register_new_resolver("entrostat_carries", refuse_trainer, replace=True)


def _arguments() -> None:
    from entrostat.integrations.verl._refusals import refuse_arguments

    try:
        refuse_arguments(sys.argv[1:])
    except ValueError as error:
        # verl hides an exception of a plug-in's, and would go on to train without the recipe.
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


HOOKS = {
    "verl.workers.engine": "entrostat.integrations.verl._engine",
    "verl.trainer.ppo.v1": "entrostat.integrations.verl._trainer",
}
"""Module of verl's -> module of ours that registers itself; it may be the one that is importing verl right now."""


def _run(name: str) -> None:
    try:
        importlib.import_module(HOOKS[name])
    except Exception as error:
        FAILURES[name] = f"{type(error).__name__}: {error}"
        warnings.warn(f"entrostat registered nothing with {name}: {FAILURES[name]}", RuntimeWarning, stacklevel=2)


class _Loader(importlib.abc.Loader):
    """The module's own loader, and a call after it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._own.exec_module(module)
        _run(module.__name__)


class _AfterImport(importlib.abc.MetaPathFinder):
    """Wraps the loaders of the modules in `HOOKS`, once each."""

    def __init__(self) -> None:
        self._waiting = set(HOOKS)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._waiting:
            return None
        self._waiting.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def install() -> None:
    """Ask to be called; at once where the module is there already. Twice is once."""
    _arguments()
    _resolver()
    if any(isinstance(finder, _AfterImport) for finder in sys.meta_path):
        return
    for name in HOOKS:
        if name in sys.modules:
            _run(name)
    sys.meta_path.insert(0, _AfterImport())


install()
