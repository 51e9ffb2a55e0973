"""What is installed, and whether each hook would work here."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One part of the set-up."""

    part: str
    version: str
    state: str


def examine() -> list[Finding]:
    """Return the state of every package and hook; never raises."""
    packages = ["torch", "transformers", "accelerate", "datasets", "typer", "rich", "plotly", "triton", "reasoning-gym"]
    return [_package(name) for name in ("entrostat", *packages)] + [_device(), _trl()]


def _package(name: str) -> Finding:
    try:
        return Finding(part=name, version=metadata.version(name), state="installed")
    except metadata.PackageNotFoundError:
        return Finding(part=name, version="", state="not installed")


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding(part="device", version="", state=torch.cuda.get_device_name())
    return Finding(part="device", version="", state=f"CPU, {os.cpu_count()} cores")


def _trl() -> Finding:
    version = metadata.version("trl") if importlib.util.find_spec("trl") else ""
    try:
        from entrostat.integrations.trl._selfcheck import SUPPORTED, verify_host

        verify_host()
    except ImportError as error:
        return Finding(part="TRL hook", version=version, state=f"not live: {error}")
    return Finding(part="TRL hook", version=version, state=f"live; supported trl>={SUPPORTED[0]},<{SUPPORTED[1]}")
