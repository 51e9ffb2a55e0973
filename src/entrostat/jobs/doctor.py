"""A check of the installation: its packages, and whether each hook would work here."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata

import entrostat


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One part of the set-up."""

    part: str
    version: str
    state: str


def examine() -> list[Finding]:
    """Return the state of every package and hook; never raises."""
    packages = ["torch", "transformers", "accelerate", "datasets", "plotly", "gymnasium", "triton", "reasoning-gym"]
    own = Finding(part="entrostat", version=entrostat.__version__, state="installed")
    return [own, *map(_package, packages), _device(), _trl(), _verl()]


def _package(name: str) -> Finding:
    if importlib.util.find_spec(name.replace("-", "_")) is None:
        return Finding(part=name, version="", state="not installed")
    return Finding(part=name, version=metadata.version(name), state="installed")


def _device() -> Finding:
    name = ""
    if importlib.util.find_spec("torch") is not None:
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return Finding(part="device", version="", state=name or f"CPU, {os.cpu_count()} cores")


def _trl() -> Finding:
    if importlib.util.find_spec("trl") is None:
        return Finding(part="TRL hook", version="", state="not live: pip install 'entrostat[trl]'")
    version = metadata.version("trl")
    try:
        from entrostat.integrations.trl import SUPPORTED, verify_host

        verify_host()
    except ImportError as error:
        return Finding(part="TRL hook", version=version, state=f"not live: {error}")
    return Finding(part="TRL hook", version=version, state=f"live; supported trl>={SUPPORTED[0]},<{SUPPORTED[1]}")


def _verl() -> Finding:
    # verl hides errors of a plug-in, so the traces that ours should have left are looked for.
    if importlib.util.find_spec("verl") is None:
        return Finding(part="verl plug-in", version="", state="not live: pip install 'entrostat[verl]'")
    version = metadata.version("verl")
    try:
        # verl warns of engines and accelerators that it does not find, which are none of ours.
        with warnings.catch_warnings(), _quiet_logs():
            warnings.simplefilter("ignore")
            reason = _verl_fault()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if reason:
        return Finding(part="verl plug-in", version=version, state=f"not live: {reason}")
    state = "live: verl picks our engine and knows our trainer, which +entrostat=control chooses"
    return Finding(part="verl plug-in", version=version, state=state)


@contextmanager
def _quiet_logs() -> Generator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _verl_fault() -> str:
    """Return why verl would not work with us, or nothing."""
    importlib.import_module("verl")
    plugin = "entrostat.integrations.verl.plugin"
    if plugin not in sys.modules:
        importlib.import_module(plugin)  # if it fails, this says why; verl did not
        return "verl did not load it; reinstall entrostat, and do not exclude it by VERL_USE_EXTERNAL_PLUGINS"
    engines, trainers = (importlib.import_module(name) for name in ("verl.workers.engine", "verl.trainer.ppo.v1"))
    if failures := importlib.import_module(plugin).FAILURES:
        return "; ".join(f"{module}: {reason}" for module, reason in failures.items())
    if (vendor := os.environ.get("VERL_ENGINE_VENDOR", "")) != "entrostat":
        held = f"VERL_ENGINE_VENDOR is {vendor!r}" if vendor else "VERL_ENGINE_VENDOR is not set"
        return f"{held}, so verl picks its own engine; set it to entrostat on every node, before Ray starts"
    trainers.get_trainer_cls("entrostat_sync")
    engine = engines.EngineRegistry.get_engine_cls("language_model", "fsdp2")
    return "" if engine.__module__.startswith("entrostat.") else f"verl picks {engine.__name__} on this machine"
