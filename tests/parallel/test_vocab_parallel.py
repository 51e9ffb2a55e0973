"""A vocabulary cut over gloo ranks gives what the whole of it gives: values, gradients, errors, and no more traffic."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from entrostat.ops import vocab_parallel_token_stats
from entrostat.ops._vocab_parallel import from_code, ordered_code

SCRIPT = Path(__file__).with_name("vocab_parallel_script.py")
TOLERANCE = {"float32": (2e-6, 2e-6), "float64": (1e-13, 1e-13), "bfloat16": (2e-6, 8e-3)}
"""Largest relative error of values and of gradients; a bf16 gradient may round to its neighbour."""


@pytest.fixture(scope="module", params=[2, 4])
def ranks(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What each rank found, one launch per number of ranks."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={request.param}"]
    done = subprocess.run([*launch, str(SCRIPT)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_values_and_gradients_are_those_of_the_whole_vocabulary(ranks: list[dict[str, Any]]) -> None:
    assert len(ranks[0]["cases"]) == 5 * (10 + 4 + 4) + 4
    for rank, found in enumerate(ranks):
        for name, case in found["cases"].items():
            values, gradient = TOLERANCE.get(name.split()[0], TOLERANCE["float32"])
            assert case["values"] <= values, f"{name} on rank {rank}"
            assert case["gradient"] <= gradient, f"{name} on rank {rank}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "collectives", "per_row"),
    [
        ("float32 normal whole", 3, 24),
        ("float32 normal nothing clamped", 3, 24),
        ("bfloat16 normal clamp", 7, 24 + 4 * 1024),
        ("float32 normal top_k", 7, 24 + 4 * 1024),
        ("float32 normal top_p", 7, 24 + 4 * 2048),
        ("float64 normal clamp", 11, 48 + 8 * 1024),
        ("float64 normal top_p", 11, 48 + 8 * 2048),
    ],
)
def test_what_a_call_sends_is_what_its_page_says(
    ranks: list[dict[str, Any]], case: str, collectives: int, per_row: int
) -> None:
    found = ranks[0]["cases"][case]
    assert (found["collectives"], found["bytes"]) == (collectives, 64 + 6 * per_row)


@pytest.mark.slow
def test_the_number_of_collectives_does_not_grow_with_the_rows(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["cases"]["several chunks"]["collectives"] == 7
    assert ranks[0]["cases"]["no rows"]["collectives"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        ("integers", ["rank 1 of the group rejected", "TypeError: `local_logits` must have a floating dtype"]),
        ("rows", ["agree on the number of rows"] * 2),
        ("dtype", ["agree on the logits' dtype"] * 2),
        ("settings", ["agree on the settings"] * 2),
        ("other targets", ["agree on the targets"] * 2),
        ("target range", ["`targets` must be tokens in [0, 37)"] * 2),
        ("shape", ["`targets` must have the rows' shape (3,)"] * 2),
        ("two rules", ["exclude each other"] * 2),
        ("cold", ["`temperature` must be positive"] * 2),
        ("empty shard", ["rank 1 of the group rejected", "V >= 1"]),
    ],
)
def test_a_mistake_on_one_rank_is_an_error_on_all(ranks: list[dict[str, Any]], mistake: str, says: list[str]) -> None:
    for rank, found in enumerate(ranks):
        assert says[rank if rank == 1 else 0] in found["mistakes"][mistake], f"rank {rank}"


def test_without_ranks_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="init_process_group"):
        vocab_parallel_token_stats(torch.zeros(1, 4), torch.zeros(1).long(), group=None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_are_ordered_as_the_floats_are(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    x = torch.tensor([-torch.inf, -1e30, -2.0, -tiny, 0.0, tiny, 1.0, 1.0 + 1e-6, 1e30, torch.inf], dtype=dtype)
    code = ordered_code(x)
    signed = code ^ torch.iinfo(code.dtype).min  # the same order, for comparisons with a sign
    assert bool((signed[1:] > signed[:-1]).all())
    torch.testing.assert_close(from_code(code), x, rtol=0, atol=0)
    assert ordered_code(torch.tensor([-0.0], dtype=dtype)) == ordered_code(torch.tensor([0.0], dtype=dtype))
