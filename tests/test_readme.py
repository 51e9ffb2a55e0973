"""Every Python block of the README runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_the_readme_has_its_examples() -> None:
    assert any("EntropyGRPOTrainer" in block for block in BLOCKS)


@pytest.mark.train
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number: int, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    script = tmp_path / "script.py"
    script.write_text(BLOCKS[number], encoding="utf-8")
    run = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    if "trainer.train()" in BLOCKS[number]:
        assert "entropy_control/coef" in run.stdout
