"""Where the files shipped with the package lie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_DATA: Final = Path(__file__).parent / "data"


def problems_path() -> Path:
    """Return the file of countdown problems, written by ``python -m entrostat.tasks.make_countdown``."""
    return _DATA / "countdown.jsonl"


def warm_start_path() -> Path:
    """Return the directory of the embedded small language model and its tokenizer.

    It is an ordinary ``save_pretrained`` directory, written by ``python -m entrostat.tasks.warm_start``:
    ``AutoModelForCausalLM.from_pretrained(warm_start_path())`` loads it, without a network.

    Example:
        >>> (warm_start_path() / "model.safetensors").is_file()
        True
    """
    return _DATA / "warm_start"
