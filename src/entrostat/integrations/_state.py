"""The controller's place in a checkpoint: one small JSON file, written whole and read strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from entrostat.errors import require_fields
from entrostat.files import replace_text

FILE = "entrostat_state.json"


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state into a checkpoint folder, last of all its files: its presence says the folder is whole."""
    replace_text(folder / FILE, json.dumps(state))


def read_state(folder: Path) -> dict[str, Any]:
    """Read the state of a checkpoint folder.

    Returns:
        The recipe's name under `recipe`, the regulator's state under `regulator`.

    Raises:
        ValueError: the file is missing or damaged. A silent fresh start would let the coefficient jump.
    """
    path = folder / FILE
    if not path.exists():
        raise ValueError(
            f"the checkpoint {folder} holds no {FILE}: it was cut short or written without entrostat. "
            "Resume from an earlier checkpoint, or start the run anew."
        )
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"{path} is damaged: it is not JSON. Resume from an earlier checkpoint.") from None
    if not isinstance(state, dict):
        raise ValueError(f"{path} is damaged: it holds no object. Resume from an earlier checkpoint.")
    require_fields(str(path), ["recipe", "regulator"], state)
    return state
