"""The examples for a CPU run from end to end, with few steps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl")

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "trl_aent.py": [r"none +\d\.\d+ -> \d\.\d+", r"aent +\d\.\d+ -> \d\.\d+"],
    "diagnose_and_mend.py": [
        r"1\. an entropy bonus with the coefficient 0\.1\n +entropy: 0\.\d+ -> ",
        r"es\.recipes\.aent\(keep=\d+",
        r"3\. the same run with the recipe proposed\n +entropy: 0\.\d+ -> ",
    ],
    "own_loop.py": [r"step +2 +entropy 0\.\d+", r"\$ entrostat diagnose ", r"steps 1 to 2: entropy"],
}
"""What the output of each must hold."""


@pytest.mark.train
@pytest.mark.parametrize("script", SAYS)
def test_an_example_runs(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", str(EXAMPLES / script), "--steps", "2"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for pattern in SAYS[script]:
        assert re.search(pattern, done.stdout), f"{pattern!r} is not in:\n{done.stdout}"


def test_the_readme_names_every_script() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if path.name not in text] == []
    assert set(SAYS) == {path.name for path in EXAMPLES.glob("*.py")}
