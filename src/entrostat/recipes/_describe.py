"""A recipe in words: what it does, what it takes, where it comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from entrostat.recipes._base import Paper, Recipe


def describe(name: str, factory: Callable[..., Recipe]) -> dict[str, Any]:
    """Return a recipe's name, summary, paper, parameters with defaults (None: there is no default) and BibTeX."""
    paper: Paper | None = getattr(inspect.getmodule(factory), "PAPER", None)
    text = inspect.getdoc(factory) or ""
    return {
        "name": name,
        "summary": text.splitlines()[0],
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
