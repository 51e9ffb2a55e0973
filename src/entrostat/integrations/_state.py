"""The controller's place in a checkpoint: one small JSON file, written whole and read strictly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entrostat.errors import require_fields
from entrostat.observe.files import replace_text

FILE = "entrostat_state.json"


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the state into a checkpoint folder, last of all its files: its presence says the folder is whole."""
    replace_text(folder / FILE, json.dumps(state))


def read_state(folder: Path, *, recipe: str, more: Sequence[str] = ()) -> dict[str, Any]:
    """Read the state of a checkpoint folder.

    Args:
        folder: the checkpoint.
        recipe: name of the recipe that goes on.
        more: names of what the host keeps beside the recipe's name and the regulator.

    Returns:
        The regulator's state under `regulator`, and what was asked for by name.

    Raises:
        ValueError: the file is missing, damaged or of another recipe. A silent fresh start would let the coefficient
            jump.
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
    require_fields(str(path), ["recipe", "regulator", *more], state)
    if state["recipe"] != recipe:
        raise ValueError(
            f"the state in {folder} is of recipe {state['recipe']!r}, this run has {recipe!r}. "
            "Resume from another checkpoint, or start the run anew."
        )
    return state
