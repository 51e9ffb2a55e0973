"""Hooks into trainers: names and hooks only, no arithmetic. Each host is imported where it is used."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name not in ("cost", "host", "sources", "trl", "verl"):
        raise AttributeError(f"module 'entrostat.integrations' has no attribute {name!r}")
    return import_module(f"entrostat.integrations.{name}")
