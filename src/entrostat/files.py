"""Files that one process writes and another reads: replaced at once, followed line by line."""

from __future__ import annotations

import os
from pathlib import Path


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


class Tail:
    """The lines added to a file since the last read, whole ones only."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset, self._last = path, 0, b""

    def new_lines(self) -> list[str]:
        """Return the new lines; starts over if the file was replaced.

        A replaced file may have the old one's inode again, and be as long by now. So the last line read is compared:
        where it still stands in its place, what follows it is new.
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
