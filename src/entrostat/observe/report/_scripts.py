"""The scripts a page carries, the data they read, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from entrostat.observe.report._text import embedded

CURVES = ("numbers.js", "lines.js", "steps.js", "page.js")
"""What draws the curves, in order; the first is of use to the token view too."""
TOKENS = "tokens.js"


def asset(name: str) -> str:
    """Return the text of a file that lies beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def chosen_scripts(plotly: str, *, curves: bool, tokens: bool) -> list[str]:
    """Return the texts of the scripts a page with these parts needs."""
    names = [*(CURVES if curves else CURVES[:1] * tokens), *([TOKENS] * tokens)]
    return [plotly] * curves + [asset(name) for name in names]


def embedding(scripts: list[str], data: dict[str, Any]) -> str:
    """Return the elements that hold the data, by name, and the scripts."""
    held = [f'<script type="application/json" id="{name}">{embedded(value)}</script>' for name, value in data.items()]
    return "\n".join([*held, *(f"<script>{script}</script>" for script in scripts)])


def policy(scripts: list[str]) -> str:
    """Return the page's content security policy.

    The browser runs these scripts by their hash and nothing else, and loads nothing: even text that slipped through
    the escaping could not act.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
