"""The Triton kernels go through the real compiler for GPUs that are not there: its interpreter accepts too much."""

from __future__ import annotations

import importlib.util
import runpy
import warnings
from pathlib import Path

import pytest
import torch

from entrostat.ops import _triton_rows

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "triton_resources.py"))


@pytest.fixture(autouse=True)
def backend() -> None:
    """Instead of the folder's fixture: there is one backend here."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if _triton_rows.interpreted():
        pytest.skip("TRITON_INTERPRET=1: the kernels are Python functions in this process")


@pytest.mark.slow
@pytest.mark.parametrize("arch", SCRIPT["ARCHITECTURES"].values())
def test_every_kernel_compiles_without_spills(arch: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Triton's own, about its next release
        for name, dtype, cut, kernel, signature, constants, warps in SCRIPT["variants"]():
            if dtype == torch.float16:
                continue  # bf16's code with another shift
            used = SCRIPT["resources"](kernel, signature, constants, warps, arch)
            label = f"{name} {dtype} cut={cut}"
            assert used["spill_bytes"] == used["stack_bytes"] == 0, label
            assert used["shared_bytes"] <= 48 * 1024, label
