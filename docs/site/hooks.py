"""What MkDocs is told beyond mkdocs.yml: carry the files that pages link to, and let no page need a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
SHARED = ("benchmarks/results", "examples")
"""Folders outside docs/ whose files pages may link to; the site carries those that are linked."""

_OUTSIDE = re.compile(rf"(\]\(|src=\")((?:\.\./)+)((?:{'|'.join(SHARED)})/[^)\s\"]*)")
_LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?((?:https?:)?//[^\"'\s>]+)")
_LINKED = re.compile(
    r"<link(?=[^>]*rel=[\"']?(?:stylesheet|preconnect|preload))[^>]*href=[\"']?((?:https?:)?//[^\"'\s>]+)"
)


def on_files(files: Files, *, config: Any, **_: Any) -> Files:
    """Add the files outside docs/ that a page links to."""
    pages = [file for file in files if file.src_uri.endswith(".md")]
    linked = {found[3] for page in pages for found in _OUTSIDE.finditer(page.content_string)}
    for path in sorted(linked):
        if (ROOT / path).is_file():
            files.append(File(path, str(ROOT), config.site_dir, use_directory_urls=False))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Point links to those files to where the site has them; on a code host they work as written."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda found: f"{found[1]}{up}{found[3]}", markdown)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Refuse a page that would load something from another host."""
    if loaded := foreign(output):
        raise PluginError(f"{page.file.src_uri} loads from the network: {', '.join(loaded)}")
    return output


def foreign(html: str) -> list[str]:
    """Return what a page would load from other hosts.

    Example:
        >>> foreign('<script src="https://cdn.example/x.js"></script><img src="images/x.png">')
        ['https://cdn.example/x.js']
    """
    return [found[1] for pattern in (_LOADED, _LINKED) for found in pattern.finditer(html)]
