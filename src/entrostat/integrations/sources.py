"""Where models, data and rewards come from that a user names: this machine, Hugging Face's hub, or a module."""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from entrostat.errors import sentence

_READERS = ("huggingface_hub.constants", "datasets.config")
"""Modules that cache HF_HUB_OFFLINE at import."""


def looks_like_path(source: str) -> bool:
    """Whether a name can only be a path: a hub id is `name` or `owner/name`.

    Example:
        >>> [looks_like_path(source) for source in ("./model", "a/b/c", "openai/gsm8k", "")]
        [True, True, False, False]
    """
    return source.startswith((".", "/", "~")) or source.count("/") > 1


def avoid_unknown_hub(sources: Iterable[str]) -> None:
    """Keep the hub's client to local files if it would be needed and its name cannot be resolved here.

    Without this the client retries for half a minute per file, with a warning for each try.

    Args:
        sources: directories, files or hub ids that will be read; empty ones are ignored.
    """
    needed = any(source and not Path(source).expanduser().exists() for source in sources)
    if not needed or getproxies():
        return
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, None)
    except OSError:
        os.environ["HF_HUB_OFFLINE"] = "1"
        for name in _READERS:
            if name in sys.modules:
                vars(sys.modules[name])["HF_HUB_OFFLINE"] = True


def import_function(path: str, setting: str) -> Callable[..., Any]:
    """Return the function of a dotted path. The current directory is searched first, as `python -m` does.

    Args:
        path: `package.module.function`.
        setting: the setting that named it, for the error.

    Raises:
        ValueError: it cannot be imported, or is not a function.

    Example:
        >>> import_function("math.isqrt", "reward")(9)
        3
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module is the user's: it may raise anything
        remedy = f"It fails with {type(error).__name__}: {error}."
        raise ValueError(sentence(setting, "name a function that can be imported", path, remedy)) from None
    if not callable(function):
        raise ValueError(sentence(setting, "name a function", path))
    return function
