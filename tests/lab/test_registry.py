"""Claims are found by name, all of them, and run from the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import entrostat.lab
from entrostat import lab

FOLDER = Path(entrostat.lab.__file__).parent


def test_every_claim_that_is_written_is_registered_under_the_name_of_its_function() -> None:
    sources = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")]
    written = [name for text in sources for name in re.findall(r"^@claim\((?:[^@]*?)\)\ndef (\w+)", text, re.M)]
    assert len(written) == len(set(written)) == sum(len(re.findall("^@claim", text, re.M)) for text in sources)
    assert lab.names() == sorted(written)
    for name in written:
        claim = lab.get(name)
        assert claim.name == name
        assert claim.source
        assert claim.statement.endswith(".")
        assert "  " not in claim.statement


def test_an_unknown_name_suggests_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="Did you mean 'one_step_policy'"):
        lab.get("one_step_polic")


def test_an_unknown_name_on_the_command_line_is_one_sentence() -> None:
    done = subprocess.run([sys.executable, "-m", "entrostat.lab", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown claim 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_claim_from_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    command = [
        sys.executable,
        "-m",
        "entrostat.lab",
        "gradient_norm_bound",
        "--quick",
        "--page",
        str(tmp_path / "page.html"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "HOLDS" in done.stdout
    assert "largest |grad|_2 / (R H): 0.5" in done.stdout
    assert (tmp_path / "page.html").is_file()
