"""Files that one process writes and another reads: replaced at once, followed line by line, found where runs are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

RUN_SCHEMA = 1
"""Schema of a `run.json`."""
# Bytes that are enough to see that a file is binary.
_HEAD = 4096


def replace_text(path: Path, text: str) -> None:
    """Replace a file's text: a reader or a kill sees the old text or the new one, whole.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "state.json"
        >>> replace_text(path, "{}")
        >>> path.read_text()
        '{}'
    """
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_text(path: Path) -> str:
    """Return the text of a foreign file, without a byte-order mark and with `\\n` at the end of every line.

    Raises:
        ValueError: it is no UTF-8 text. A file that begins with binary noise is not read to its end.
        OSError: it cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "log.csv"
        >>> _ = path.write_bytes(b"\\xef\\xbb\\xbfstep,entropy\\r\\n1,0.5\\r\\n")
        >>> read_text(path)
        'step,entropy\\n1,0.5\\n'
    """
    with path.open("rb") as file:
        data = file.read(_HEAD)
        if b"\0" in data:
            raise ValueError(f"{path} is not UTF-8 text.")
        data += file.read()
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text.") from None


class Tail:
    """The lines added to a file since the last read, whole ones only."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._last = path, 0, b""

    def new_lines(self) -> list[str]:
        """Return the new lines; starts over if the file was replaced.

        A replaced file may have the old one's inode again, and be as long by now. So the last line read is compared: if
        it is still in its place, everything after it is new.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset - len(self._last))
                data = file.read()
                if data.startswith(self._last):
                    data = data[len(self._last) :]
                else:
                    file.seek(0)
                    data, self._offset, self._last = file.read(), 0, b""
        except FileNotFoundError:
            return []
        whole, end, _ = data.rpartition(b"\n")
        if not end:
            return []
        self._offset += len(whole) + 1
        self._last = whole.rpartition(b"\n")[2] + b"\n"
        return whole.decode("utf-8").split("\n")


def run_directories(path: Path, *, bare: bool = False) -> list[Path]:
    """Return the directories of the runs of a job, or the directory itself if it is a run's.

    Args:
        path: the directory of a job or of a run.
        bare: whether a `records.jsonl` alone makes a run.

    Raises:
        ValueError: there is no such directory, or no run in it.
    """
    if not path.is_dir():
        raise ValueError(f"{path} is no directory: name the directory of a job or of a run.")
    marks = ("run.json", "records.jsonl") if bare else ("run.json",)
    if any((path / mark).is_file() for mark in marks):
        return [path]
    found = sorted(file.parent for file in path.glob("runs/*/run.json"))
    if not found:
        raise ValueError(f"{path} holds no run: neither {', '.join(marks)} nor runs/*/run.json is in it.")
    return found


def run_description(path: Path) -> dict[str, Any]:
    """Return the object that a `run.json` holds.

    Raises:
        ValueError: it is missing, no JSON object, or of another schema.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"{path} is missing: {path.parent} is not the directory of a run.") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is not JSON text: remove the run's directory to start a new run.") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object: remove the run's directory to start a new run.")
    if value.get("schema") != RUN_SCHEMA:
        raise ValueError(f"{path} has schema {value.get('schema')!r}, this version of entrostat reads {RUN_SCHEMA}.")
    return value
