"""Compile the Triton kernels for GPUs that are not there, and write the resources they need: registers, spills, memory.

Triton's interpreter accepts programs that its compiler refuses, so this is a test as much as a table. It needs Triton
and no GPU; it says nothing about speed.

    python benchmarks/triton_resources.py [OUT.csv]
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

ARCHITECTURES = {"sm_80": 80, "sm_90": 90, "sm_100": 100}
NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
FIELDS = ("kernel", "dtype", "cut", "arch", "registers", "spill_bytes", "shared_bytes", "stack_bytes", "triton")


def variants(vocab: int = 151_936) -> Iterator[tuple[str, torch.dtype, bool, Any, dict[str, str], dict[str, Any], int]]:
    """Yield every kernel in the forms in which the library launches it: name, dtype, cut, function, signature, ..."""
    from entrostat.ops import _triton_kernels as kernels
    from entrostat.ops import _triton_rows as rows

    for dtype, short in NAMES.items():
        for cut in (False, True):
            sizes = rows.tuning(dtype, vocab)
            warps = sizes.pop("num_warps")
            flags = {"HAS_TARGETS": True, "HAS_CUT": cut}
            forward = {"HAS_WATCHED": False, **flags, **sizes}
            yield (
                "forward",
                dtype,
                cut,
                kernels.forward_kernel,
                _signature(kernels.forward_kernel, short),
                forward,
                warps,
            )
            backward = {**flags, "BLOCK": sizes["BLOCK"]}
            yield (
                "backward",
                dtype,
                cut,
                kernels.backward_kernel,
                _signature(kernels.backward_kernel, short),
                backward,
                8,
            )


def _signature(kernel: Any, logits: str) -> dict[str, str]:
    types = {"z_ptr": f"*{logits}", "out_ptr": f"*{logits}", "targets_ptr": "*i64", "kept_ptr": "*i32", "scale": "fp32"}
    numbers = {"stride": "i64", "out_stride": "i64", "vocab": "i32"}
    return {
        name: "constexpr" if name.isupper() else numbers.get(name) or types.get(name, "*fp32")
        for name in kernel.arg_names
    }


def resources(
    kernel: Any, signature: dict[str, str], constants: dict[str, Any], warps: int, arch: int
) -> dict[str, int]:
    """Compile one kernel and return what `cuobjdump` reports of it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    built = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": warps})
    dump = next(Path(triton.__file__).parent.glob("**/cuobjdump"))
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built.asm["cubin"])
        file.flush()
        report = subprocess.run([dump, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", report)}
    return {
        "registers": found["REG"], "spill_bytes": found["LOCAL"], "stack_bytes": found["STACK"],
        "shared_bytes": built.metadata.shared,
    }  # fmt: skip


def main() -> None:
    """Write the table."""
    import triton

    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results" / "triton_resources.csv"
    with out.open("w", newline="") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        for name, dtype, cut, kernel, signature, constants, warps in variants():
            for label, arch in ARCHITECTURES.items():
                row = resources(kernel, signature, constants, warps, arch)
                facts = {"kernel": name, "dtype": NAMES[dtype], "cut": cut, "arch": label, "triton": triton.__version__}
                table.writerow(facts | row)
                print(facts | row, flush=True)


if __name__ == "__main__":
    main()
