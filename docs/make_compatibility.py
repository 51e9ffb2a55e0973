"""Try every option of TRL's with `aent` and write docs/compatibility.md.

    python docs/make_compatibility.py            try them with the installed TRL (a minute), then write the page
    python docs/make_compatibility.py --check    try nothing; fail if the page does not follow from the results on file

The options are those of tests/integrations/trl/options.py, tried as the tests try them. The results are kept by
TRL release in docs/compatibility.json, so that a run in another environment (`make trl-releases`) adds its column.
verl's rows are put there by its tests (`make verl-test`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "docs" / "compatibility.json", ROOT / "docs" / "compatibility.md"
HEAD = """# Compatibility with hosts

Written by `python docs/make_compatibility.py`, which trains a tiny model with `aent` under each option and checks that
the coefficient follows its law, that the bonus in the loss is the coefficient times the measured entropy, and that the
model moves. *Rejected* means that the trainer is refused when it is made; *untested* that nobody has tried.
"""
FOOT = """
TRL 1.14 is out of range and refused at import: its trainer scores with the full logits unless Liger is on, and there is
no `add_fused_lm_head` to give a model a head of ours (1.14.2: `_get_per_token_logps_and_entropies` hands over to
`_full_logits_logps` or `_chunked_logps`, and only the latter calls a kernel). 1.15 has the head for every path; without
Triton its own kernel is missing, and ours serves the reference model too.
`make test` runs the TRL tests with the newest and the oldest release in range, `make trl-releases` with each in an
environment of its own.

## Several processes

`tests/integrations/trl/test_ranks.py` holds two gloo ranks against one process for every recipe (coefficients,
statistics, gradients). `tests/integrations/trl/test_launch.py` trains under `accelerate launch`, with uneven token
counts, a rank without a token, a tool mask and a short last accumulation window: two ranks equal one process to 1e-6 in
every logged statistic, coefficient and weight (3e-6 in the loss, 1e-5 of the gradient's norm), for `aent`,
`high_entropy_tokens` and `entropic` under DDP, and for `aent` under FSDP2 and under DeepSpeed's ZeRO-3. (DeepSpeed is
not among the packages of our tests; where it is installed, with a C++ compiler, `pytest
tests/integrations/trl/test_launch.py -k zero3` trains with it. Last tried with DeepSpeed 0.19.8, whose first start
compiles for two minutes.) `tests/integrations/trl/test_resume_ranks.py` kills two ranks in the middle of a rollout
batch, and they go on bit for bit.

On a CPU, accelerate 1.15 has to be asked in its own way:

- `accelerate launch --cpu --num_processes 2` starts one process: `launch_command` has no branch but `simple_launcher`
  for it, and only an MPI host file makes more. `--multi_gpu` with `use_cpu=True` in the settings starts two gloo ranks.
- `accelerate launch --cpu --use_fsdp` is refused ("You can only use one of ..."). With `--use_fsdp` alone and
  `use_cpu=True`, accelerate wraps in DDP without a word: `AcceleratorState.__init__` reads the FSDP plugin only if the
  ranks are on its list of accelerators, and `MULTI_CPU` is not. The test puts it there; all that shards after that is
  accelerate's own code.
- DeepSpeed is left out without a word where `use_cpu=True`, and without it accelerate counts one process where
  DeepSpeed counts two. The test has accelerate's `PartialState` answer gloo when asked for the backend; the rest is
  theirs.
"""
VERL = """
## verl

Written by the tests of the plug-in as they run (`make verl-test`), on a CPU with a tiny model;
[entrostat in verl](verl.md) says what stands in for the GPU. *Rejected* means one sentence and no training; *untested*
that nobody has tried.

"""


def tried(only: str | None) -> dict[str, dict[str, str]]:
    """Return what comes of each option with the installed TRL."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.path.insert(0, str(ROOT))
    import torch
    from tests.integrations.trl.options import OPTIONS, attempt

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, dict[str, str]] = {}
    for option in OPTIONS:
        if only and only not in option.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = attempt(option, Path(folder))
                found[option.name] = {"result": outcome.result, "says": outcome.says}
            except Exception as error:  # whatever it is, the page has to say so
                found[option.name] = {"result": "fails", "says": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(f"{option.name}: {found[option.name]['result']}", file=sys.stderr)
    return found


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return the page for the results of all releases."""
    trl = {name: rows for name, rows in results.items() if name != "verl"}
    return f"{HEAD}\n## TRL\n\n{table('TRL', trl)}{FOOT}{VERL}{table('verl', results.get('verl', {}))}"


def table(host: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the table of one host: a row per option, a column per release."""
    releases = sorted((name for name in results if name != "untested"), key=_release)
    options = list(dict.fromkeys(option for release in releases for option in results[release]))
    lines = ["| option | " + " | ".join(f"{host} {name}" for name in releases) + " | why |"]
    lines.append("|---" * (len(releases) + 2) + "|")
    for option in options:
        cells = [results[release].get(option, {"result": "untested", "says": ""}) for release in releases]
        why = next((cell["says"] for cell in reversed(cells) if cell["says"]), "")
        lines.append(f"| {option} | " + " | ".join(cell["result"] for cell in cells) + f" | {_cell(why)} |")
    for option, why in results.get("untested", {}).items():
        lines.append(f"| {option} | " + " | ".join("untested" for _ in releases) + f" | {_cell(why)} |")
    return "\n".join(lines) + "\n"


def dumped(results: dict[str, dict[str, Any]]) -> str:
    """Return the results as they are kept on file."""
    return json.dumps(results, indent=1, sort_keys=True) + "\n"


def _release(name: str) -> list[int]:
    return [int(part) for part in name.split(".")[:3] if part.isdigit()]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Try, write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="only compare the page with the results on file")
    parser.add_argument("--only", help="try the options whose names hold this text, and write nothing")
    args = parser.parse_args()
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if args.check:
        if page(results) != PAGE.read_text():
            sys.exit(f"{PAGE.name} is old: run python docs/make_compatibility.py")
        return
    found = tried(args.only)
    if args.only:
        return
    import trl
    from tests.integrations.trl.options import UNTESTED

    results[trl.__version__] = found
    results["untested"] = dict(UNTESTED)
    RESULTS.write_text(dumped(results))
    # Read back: the page has to follow from the file alone, in the file's order.
    PAGE.write_text(page(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
