"""Reads the user's prompts: JSON lines or a table with a column `prompt`, or a text with one prompt per line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from entrostat.observe.files import read_text

COLUMN = "prompt"


def prompts(path: Path) -> list[Any]:
    """Return the prompts of a file: texts, or chats as lists of messages.

    Args:
        path: `.jsonl` or `.csv` with a column `prompt`; anything else is text, a prompt per line.

    Raises:
        ValueError: the file is missing, empty or damaged, or has no such column.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    readers = {".jsonl": _json_lines, ".csv": _table}
    found = readers.get(path.suffix.lower(), _lines)(path, text)
    if not found:
        raise ValueError(f"{path} holds no prompt.")
    return found


def _lines(_: Path, text: str) -> list[Any]:
    return [line for line in text.splitlines() if line.strip()]


def _json_lines(path: Path, text: str) -> list[Any]:
    found: list[Any] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            found.append(_prompt(path, number, line))
    return found


def _prompt(path: Path, number: int, line: str) -> Any:
    try:
        fields = json.loads(line)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError(f"{path}, line {number}: not a JSON line.") from None
    value = fields.get(COLUMN) if isinstance(fields, dict) else None
    messages = isinstance(value, list) and value and all(isinstance(one, dict) and "content" in one for one in value)
    if not (messages or (isinstance(value, str) and value.strip())):
        raise ValueError(f"{path}, line {number}: no text or chat under {COLUMN!r}.")
    return value


def _table(path: Path, text: str) -> list[Any]:
    try:
        rows = list(csv.DictReader(text.splitlines(keepends=True), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}.") from None
    if rows and COLUMN not in rows[0]:
        raise ValueError(f"{path} has no column {COLUMN!r}; its columns are {', '.join(map(str, rows[0]))}.")
    return [row[COLUMN] for row in rows if row[COLUMN] and row[COLUMN].strip()]
