"""What the example's script hands to verl: it is run with a stand-in for Python that prints its arguments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "examples" / "verl" / "grpo_gsm8k_aent.sh"


def arguments(folder: Path, *more: str, **environment: str) -> list[str]:
    """Return the overrides, as verl would get them."""
    stand_in = folder / "python"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$VERL_ENGINE_VENDOR" "$@"\n')
    stand_in.chmod(0o755)
    done = subprocess.run(
        ["bash", str(SCRIPT), *more],
        env={**os.environ, **environment, "PYTHON": str(stand_in)},
        capture_output=True,
        text=True,
        check=True,
    )
    vendor, flag, module, *overrides = done.stdout.splitlines()
    assert (vendor, flag, module) == ("entrostat", "-m", "verl.trainer.main_ppo")
    return overrides
