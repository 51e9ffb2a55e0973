"""A real browser for the tests of pages; where there is none, the tests that import it are skipped with the reason."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the `dev` extra)")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NEEDED = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH"),
]
"""The marks of a module that cannot do without."""
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu", "dev-shm-usage", "extensions")
WAIT = 120_000  # milliseconds: a starved machine is slow, not wrong


@contextmanager
def chromium() -> Generator[Browser]:
    """Start a browser, and end it."""
    with playwright.sync_playwright() as play:
        flags = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
        browser = play.chromium.launch(executable_path=BROWSER, args=flags, timeout=WAIT)
        yield browser
        browser.close()
