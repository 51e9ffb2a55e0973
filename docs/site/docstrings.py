"""Griffe extension: this code's docstrings say `Example:` and `Reference:`, which Google style knows in the plural."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
_REFERENCE = re.compile(r"^( *)Reference:\n((?:\1 +\S.*\n?|\n)+)", re.MULTILINE)


def rewritten(text: str) -> str:
    """Return a docstring with its example as Google style's section and its reference as a paragraph.

    Example:
        >>> rewritten("What.\\n\\nExample:\\n    >>> 1 + 1\\n    2")
        'What.\\n\\nExamples:\\n    >>> 1 + 1\\n    2'
    """
    text = _REFERENCE.sub(lambda found: f"{found[1]}**Reference:** {' '.join(found[2].split())}\n\n", text)
    return _EXAMPLE.sub(r"\1Examples:", text)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and attribute that was read."""
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)
