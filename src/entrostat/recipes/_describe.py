"""A recipe in words: what it does, what it takes, where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from entrostat.recipes._base import Paper, Recipe


def describe(name: str, factory: Callable[..., Recipe]) -> dict[str, Any]:
    """Return a recipe's name, summary, what it acts on, paper, BibTeX, and parameters (default None: there is none)."""
    module = inspect.getmodule(factory)
    paper: Paper | None = getattr(module, "PAPER", None)
    text = inspect.getdoc(factory) or ""
    return {
        "name": name,
        "summary": text.splitlines()[0],
        "acts_on": getattr(module, "ACTS_ON", ""),
        "paper": "" if paper is None else f"{paper.authors} ({paper.year}). {paper.title}. {paper.url}",
        "parameters": {
            key: {
                "required": value.default is value.empty,
                "default": None if value.default is value.empty else value.default,
            }
            for key, value in inspect.signature(factory).parameters.items()
        },
        "bibtex": "" if paper is None else paper.bibtex,
        "text": text,
    }
