"""Which checkpoint a resume may trust."""

from __future__ import annotations

import json
from pathlib import Path

from entrostat.integrations.host import STATE_FILE


def whole_checkpoint(folder: Path) -> tuple[Path | None, int]:
    """Return the newest checkpoint that was written to its end, and its step; (None, 0) if there is none.

    The controller's state is the last file of a checkpoint: a folder without it was cut short by a kill and is passed
    over for the one before, of which at least one is always kept.

    Example:
        >>> whole_checkpoint(Path("no-such-folder"))
        (None, 0)
    """
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        number = path.name.removeprefix("checkpoint-")
        if number.isdecimal() and (path / STATE_FILE).exists() and _readable(path / "trainer_state.json"):
            found.append((int(number), path))
    if not found:
        return None, 0
    step, path = max(found)
    return path, step


def _readable(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
