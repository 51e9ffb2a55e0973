"""Tables become dataclasses: unknown keys and values of the wrong kind are refused by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from entrostat.errors import sentence, unknown_name

_WORDS: dict[str, tuple[type, str]] = {"str": (str, "be a text"), "bool": (bool, "be true or false")}


def section(cls: Any, table: Any, name: str) -> Any:
    """Return the dataclass of a table; `name` is what the file calls it."""
    if not isinstance(table, dict):
        raise ValueError(sentence(name, "be a table", table))
    values: dict[str, Any] = dict(table)
    check_keys(cls, values, f"[{name}] ")
    return cls(**values)


def check_keys(cls: Any, values: dict[str, Any], where: str) -> None:
    """Refuse a key the dataclass lacks, and a text or a switch that is none; numbers check themselves."""
    known = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    for key, value in values.items():
        if key not in known:
            raise unknown_name(f"{where}key", key, known)
        kind, rule = _WORDS.get(known[key], (object, ""))
        if not isinstance(value, kind):
            raise TypeError(sentence(key, rule, value))
