"""What a verl release does with a feature, told by the tests marked with it: `feature(NAME, RESULT, WHY)`.

A run of the tests puts the outcome of each marked feature into docs/compatibility.json, under verl's version, and
writes the page anew; a feature of which a test fails is there as *fails*. What a test records as a property named like
the feature stands in place of WHY.
"""

from __future__ import annotations

import json
import runpy
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[3] / "docs"
NEEDS_GPU = "needs a GPU"
UNTESTED = {
    "rollouts by vLLM or SGLang": NEEDS_GPU + "; in the tests a Ray actor samples from a copy of the model",
    "FSDP1 (strategy=fsdp)": "torch refuses sync_module_states, which verl sets, for a module on the CPU",
    "Ulysses sequence parallelism": "verl puts it into flash-attention, which has no CPU build",
    "LoRA, offloading": "nobody has tried; nothing refuses them",
    "a critic": "verl registers its engine for GPUs alone; nothing refuses it",
    "estimators other than grpo and rloo": "nobody has tried; nothing refuses them",
    "several nodes": "examples/verl has a note on them; never run",
}

Row = dict[str, str]


def note(rows: dict[str, Row], item: pytest.Item, report: pytest.TestReport) -> None:
    """Take up what a finished test says of its features."""
    if report.skipped or (report.passed and report.when != "call"):
        return
    said = dict(report.user_properties)
    for mark in item.iter_markers("feature"):
        name, result, why = (*mark.args, "")[:3]
        if rows.get(name, {}).get("result") != "fails":
            why = str(said.get(name, why))
            rows[name] = {"result": result, "says": why} if report.passed else {"result": "fails", "says": item.name}


def write(rows: dict[str, Row], docs: Path = DOCS) -> None:
    """Put the rows into the results on file, and write the page that follows from them."""
    path, script = docs / "compatibility.json", runpy.run_path(str(DOCS / "make_compatibility.py"))
    results: dict[str, Any] = json.loads(path.read_text())
    verl = results.setdefault("verl", {})
    release = metadata.version("verl")
    verl[release] = verl.get(release, {}) | rows
    verl["untested"] = UNTESTED
    path.write_text(script["dumped"](results))
    (docs / "compatibility.md").write_text(script["page"](json.loads(path.read_text())))
