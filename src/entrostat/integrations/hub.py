"""Whether Hugging Face's hub can be asked. Its client would try for half a minute per file, with a warning per try."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

_READERS = ("huggingface_hub.constants", "datasets.config")
"""What reads the variable when it is imported, and has to be told if it was."""


def spare_unknown_hub(sources: Iterable[str]) -> None:
    """Have the hub's client use only what is on this machine, if it would be asked for something and is unknown here.

    Args:
        sources: what is to be read: directories, files or hub ids; empty ones are none.
    """
    asked = any(source and not Path(source).expanduser().exists() for source in sources)
    if not asked or getproxies() or _known(os.environ.get("HF_ENDPOINT", "https://huggingface.co")):
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in _READERS:
        if name in sys.modules:
            vars(sys.modules[name])["HF_HUB_OFFLINE"] = True


def _known(endpoint: str) -> bool:
    """Whether the name of a server has an address here, which is asked before anything is sent."""
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, None)
    except OSError:
        return False
    return True
