"""The claims, one runnable file each: every module here that defines `CLAIM` is one."""

from __future__ import annotations

import importlib
import pkgutil

from entrostat.errors import unknown_name
from entrostat.lab._claim import Claim


def names() -> list[str]:
    """Return the names of all claims, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> Claim:
    """Return the claim of this name.

    Raises:
        ValueError: there is none; the nearest one is suggested.
    """
    if name not in names():
        raise unknown_name("claim", name, names())
    return importlib.import_module(f"{__name__}.{name}").CLAIM
