"""CITATION.cff is valid: what version 1.2.0 of the Citation File Format requires, checked by hand."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
    "license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "title", "type", "url", "version",
}  # fmt: skip
"""Every key the format knows at the top; another one makes the file invalid."""


def test_the_citation_file_is_valid() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert set(cited) >= {"authors", "message", "title"}, "the keys that are required"
    assert set(cited) <= ALLOWED
    assert cited["type"] in ("software", "dataset")
    assert cited["message"]
    assert cited["title"]
    for author in cited["authors"]:
        assert author.get("name") or {"family-names", "given-names"} & set(author)
    # A date must be quoted or plain ISO; YAML reads a plain one as a date.
    assert datetime.date.fromisoformat(str(cited["date-released"]))
    assert re.fullmatch(r"[\w.-]+", cited["license"])
