"""A recipe in words, read off its own docstring: what it does, what it takes, where it comes from, how sure we are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from entrostat.recipes._base import Paper, Recipe

_SECTIONS = ("Args", "Returns", "Raises", "Reference", "Example")


def describe(name: str, factory: Callable[..., Recipe]) -> dict[str, Any]:
    """Return what there is to say about a recipe.

    `name`, `summary`, `acts_on`, `paper`, `url`, `bibtex`; `text`, the equations and what they mean; `how_sure`, a
    paragraph; `parameters`, each with `required`, `default` (None: there is none) and `text`.
    """
    module = inspect.getmodule(factory)
    paper: Paper | None = getattr(module, "PAPER", None)
    sections = _sections(inspect.getdoc(factory) or "")
    summary, _, body = sections[""].partition("\n")
    paragraphs = re.split(r"\n\s*\n", body.strip("\n"))
    sure = [part for part in paragraphs if part.startswith("How sure:")]
    arguments = _arguments(sections.get("Args", ""))
    return {
        "name": name,
        "summary": summary,
        "acts_on": getattr(module, "ACTS_ON", ""),
        "url": "" if paper is None else paper.url,
        "paper": "" if paper is None else f"{paper.authors} ({paper.year}). {paper.title}. {paper.url}",
        "text": "\n\n".join(part for part in paragraphs if part not in sure).strip("\n"),
        "how_sure": _line(sure[0].removeprefix("How sure:")) if sure else "",
        "parameters": {
            key: {
                "required": value.default is value.empty,
                "default": None if value.default is value.empty else value.default,
                "text": arguments.get(key, ""),
            }
            for key, value in inspect.signature(factory).parameters.items()
        },
        "bibtex": "" if paper is None else paper.bibtex,
    }


def _sections(doc: str) -> dict[str, str]:
    """Return the parts of a docstring by heading; "" is what stands before the first."""
    parts: dict[str, list[str]] = {"": []}
    here = ""
    for line in doc.splitlines():
        heading = line.removesuffix(":")
        if line.endswith(":") and heading in _SECTIONS:
            here = heading
            parts[here] = []
        else:
            parts[here].append(line)
    return {heading: inspect.cleandoc("\n".join(lines)) for heading, lines in parts.items()}


def _arguments(text: str) -> dict[str, str]:
    """Return the description of each argument of a cleaned "Args" section."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if (match := re.match(r"(\w+): (.*)", line)) is not None:
            name, first = match.groups()
            found[name] = first
        elif name:
            found[name] += f" {line.strip()}"
    return found


def _line(text: str) -> str:
    return " ".join(text.split())
