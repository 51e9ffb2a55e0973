"""Looking at runs: records, curves, diagnosis, calibration, the report, the live view and the monitor."""

from importlib import import_module
from types import ModuleType

_PARTS = (
    "analysis",
    "calibrate",
    "diagnose",
    "files",
    "html",
    "monitoring",
    "records",
    "report",
    "screen",
    "text",
    "watch",
)


def __getattr__(name: str) -> ModuleType:
    # Each part needs packages of its own: it is loaded when it is used.
    if name not in _PARTS:
        raise AttributeError(f"module 'entrostat.observe' has no attribute {name!r}")
    return import_module(f"entrostat.observe.{name}")
