"""AEPO on two gloo ranks: each draws for its own prompts, the groups stay apart, one temperature for both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import tiny_tokenizer
from .test_ranks import free_port

SCRIPT = Path(__file__).with_name("redraw_script.py")


@pytest.mark.slow
@pytest.mark.train
def test_two_ranks_draw_again_together(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    done = subprocess.run([*launch, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = json.loads(done.stdout.strip().splitlines()[-1])
    assert first["coef"] == second["coef"] == 0.8, "any entropy is above a target of 0"
    assert first["weights"] == second["weights"], "both ranks took the same steps"
    for one, other in zip(first["held"], second["held"], strict=True):
        assert one["items"] == other["items"] == one["tokens"] + other["tokens"]
        assert not set(one["groups"]) & set(other["groups"]), "no group is on both ranks here"
        for rank in (one, other):
            taken = [
                advantage for group, advantage in zip(rank["groups"], rank["advantages"], strict=True) if group > 3
            ]
            assert taken == [1.0] * len(taken)
    assert any(group > 3 for rank in (first, second) for batch in rank["held"] for group in batch["groups"])
    assert [entry["redraw_temperature"] for entry in first["log"]] == [1.2, 0.8]
    taken = [sum(group > 3 for rank in (first, second) for group in rank["held"][step]["groups"]) for step in (0, 1)]
    assert [entry["redraw_share"] for entry in first["log"]] == pytest.approx([number / 16 for number in taken])
