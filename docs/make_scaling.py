"""Write the planned figures of docs/scaling.md between their marks.

    python docs/make_scaling.py [--check]

They come from `entrostat.integrations.plan` and from benchmarks/results: traffic.csv, memory_model.csv and
step_time.csv. `--check` writes nothing and fails if the page is old.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import math
import statistics
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrostat.integrations.plan import ModelShape, Plan, Setup, plan_memory, shape_of
from entrostat.integrations.plan._traffic import control_bytes, host_bytes
from entrostat.integrations.plan._work import drawing, work

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "scaling.md"
RANKS, TOKENS, RESPONSES = (8, 64, 1000), 8192, 32
"""Of the table of gathers: ranks, and response tokens and responses of a rank and step."""
GIB, GPU = 1 << 30, 80
MODELS = {  # width, feed-forward, blocks, heads, key heads, vocabulary, tied
    "0.5B": (896, 4864, 24, 14, 2, 151_936, True),
    "1.5B": (1536, 8960, 28, 12, 2, 151_936, True),
    "7B": (3584, 18944, 28, 28, 4, 152_064, False),
    "32B": (5120, 27648, 64, 40, 8, 152_064, False),
    "72B": (8192, 29568, 80, 64, 8, 152_064, False),
}
BATCH, PROMPT, COMPLETION, MICRO = 512, 512, 1536, 8
PRODUCTS, READS = 400e12, 2e12
"""Assumed of one GPU: operations and bytes per second."""
SETUP = Setup(
    sequences=MICRO, prompt=PROMPT, completion=COMPLETION, attention="flash_attention_2", vllm="server", gpus=8,
    sharding="fsdp2",
)  # fmt: skip


def shape(model: str, vocab: int | None = None) -> ModelShape:
    """Return the sizes of a Qwen2.5 model, or of one with another vocabulary."""
    from transformers import Qwen2Config

    width, inner, blocks, heads, key_heads, own, tied = MODELS[model]
    config = Qwen2Config(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=blocks, num_attention_heads=heads,
        num_key_value_heads=key_heads, vocab_size=vocab or own, tie_word_embeddings=tied,
    )  # fmt: skip
    return shape_of(config, name=model)


def setup(**changes: Any) -> Setup:
    """Return the setting of the tables with something changed."""
    return dataclasses.replace(SETUP, **{"sharding": "none", **changes} if changes.get("gpus") == 1 else changes)


def prose(*sentences: str) -> list[str]:
    """Return a paragraph."""
    return [*textwrap.wrap(" ".join(sentences), 120, break_on_hyphens=False), ""]


def rows(head: list[str], body: list[list[str]]) -> list[str]:
    """Return a table; all columns but the first are numbers."""
    rule = "|---|" + "---:|" * (len(head) - 1)
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(line) + " |" for line in body), ""]


def total(plan: Plan) -> str:
    """Return the GiB of a plan, in brackets if no such GPU has them."""
    size = f"{plan.total / GIB:,.1f}"
    return size if plan.fits else f"({size})"


def memory(shapes: dict[str, ModelShape]) -> list[str]:
    """Return the tables of planned memory."""
    gpus = {"1 GPU": {"gpus": 1}, "8, DDP": {"sharding": "ddp"}, "8, FSDP2": {}, "64": {"gpus": 64}}
    gpus["1,000"] = {"gpus": 1000}
    lengths = (2048, 8192, 32768)
    by_gpus = [[m, *(total(plan_memory(s, setup(**c))) for c in gpus.values())] for m, s in shapes.items()]
    by_length = [[m, *(total(plan_memory(s, longer(length))) for length in lengths)] for m, s in shapes.items()]
    sizes = (32_768, 65_536, 151_936, 262_144)
    return [
        f"**Model size and number of GPUs**: micro-batches of {MICRO} x {PROMPT + COMPLETION:,} tokens.",
        "",
        *rows(["model", *gpus], by_gpus),
        "**Sequence length**: one sequence per micro-batch, 64 GPUs with FSDP2.",
        "",
        *rows(["model", *(f"{length:,} tokens" for length in lengths)], by_length),
        *prose(
            "**Vocabulary**: the 1.5B model with another one, 8 GPUs with FSDP2; a micro-batch as in the first table.",
            "*Avoided* are the logits and their gradient in bf16, which a plain head holds, often several times over;",
            "*held* are the logits that exist at a time.",
        ),
        *rows(["vocabulary", "one GPU", "avoided", "held by ours", "held by TRL's fused head"], [*map(vocab, sizes)]),
    ]


def longer(length: int) -> Setup:
    """Return one sequence of a length per micro-batch on 64 GPUs."""
    return setup(sequences=1, completion=length - PROMPT, gpus=64)


def vocab(size: int) -> list[str]:
    """Return a row of the table of vocabularies."""
    plan = plan_memory(shape("1.5B", size), setup())
    head = [f"{value / GIB:.2f}" for value in (plan.head.plain, plan.head.chunk, plan.head.trl_chunk)]
    return [f"{size:,}", total(plan), *head]


def traffic(shapes: dict[str, ModelShape]) -> list[str]:
    """Return the table of bytes per optimizer step, the host's beside ours."""
    counts = (8, 64, 256, 1000)
    ours = [f"{control_bytes(count)} B" for count in counts]
    body: list[list[str]] = []
    for model, of in shapes.items():
        for kind in ("ddp", "fsdp2"):
            sent = [host_bytes(of, setup(sharding=kind, gpus=count)) for count in counts]
            body.append([f"{model}, {kind.upper()}", *(f"{size / 1e9:,.2f} GB" for size in sent)])
    return [*rows(["sent per GPU and step by", *(f"{count:,} GPUs" for count in counts)], [*body, ["`aent`", *ours]])]


def accuracy() -> list[str]:
    """Return how well the plan's count agreed with what torch allocated."""
    found = read("memory_model.csv")
    names = {
        "states": "parameters, gradients, AdamW's moments",
        "activations": "activations", "head": "fused head", "update": "fullest moment of an update",
    }  # fmt: skip
    body: list[list[str]] = []
    for part, name in names.items():
        by_way = {
            way: [float(row[f"{part}_ratio"]) for row in found if row["checkpointing"] == way]
            for way in ("False", "True")
        }
        medians = [f"{statistics.median(ratios):.3f}" for ratios in by_way.values()]
        body.append([name, *medians, f"{worst([*by_way['False'], *by_way['True']]):.3f}"])
    ranges = [f"{label} {span(found, key)}" for label, key in SIZES.items()]
    return [
        *prose(
            f"**Measured** (`benchmarks/memory_model.py`, {machine(found[0])}): {len(found)} small models,",
            f"{', '.join(ranges)}; fp32, bf16 and autocast, with and without an adapter. Planned over allocated bytes:",
        ),
        *rows(["", "median, all kept", "median, checkpointing", "worst"], body),
    ]


SIZES = {"width": "hidden", "blocks": "layers", "vocabulary": "vocab", "length": "length", "batch": "sequences"}


def span(found: list[dict[str, str]], key: str) -> str:
    """Return the range of a size."""
    values = [int(row[key]) for row in found]
    return f"{min(values):,} to {max(values):,}"


def worst(ratios: list[float]) -> float:
    """Return the ratio furthest from 1."""
    return max(ratios, key=lambda ratio: abs(math.log(ratio)))


def timed() -> list[str]:
    """Return how well the models of time did."""
    found = read("step_time.csv")
    body: list[list[str]] = []
    for phase in ("update", "rollout"):
        for name, key in (("operations at one rate", "one_rate"), ("stated model", "model")):
            small = [float(row[f"{phase}_{key}_ratio"]) for row in found if row["larger"] == "False"]
            large = [f"{float(row[f'{phase}_{key}_ratio']):.2f}" for row in found if row["larger"] == "True"]
            off = [abs(ratio - 1) for ratio in small]
            body.append([f"{phase}, {name}", f"{statistics.median(off):.0%}", f"{max(off):.0%}", ", ".join(large)])
    ranges = [f"{label} {span(found, key)}" for label, key in SIZES.items()]
    return [
        *prose(
            f"**Measured** (`benchmarks/step_time.py`, {machine(found[0])}, medians of {found[0]['rounds']}",
            "interleaved rounds of CPU seconds on one thread of a machine under load):",
            f"{len(found)} small models, {', '.join(ranges)}.",
            "*One rate*: the operations of all matrix products over one rate. *Stated model*: a rate each for",
            "operations, bytes of activations, logits and parameters in the update, and for operations, bytes of the",
            "cache and steps x blocks while drawing. Every point is predicted from the others, and two larger models",
            "from the smaller ones (predicted over measured):",
        ),
        *rows(["", "off by, median", "worst", "larger models"], body),
    ]


def times(shapes: dict[str, ModelShape]) -> list[str]:
    """Return the extrapolated times of a step."""
    body = [step(model, of, gpus) for model, of in shapes.items() for gpus in (8, 64)]
    vocabs = [[f"{size:,}", *share(shape("1.5B", size))] for size in (32_768, 65_536, 151_936, 262_144)]
    lengths = [[f"{length:,}", *by_length(shapes["7B"], length)] for length in (2048, 8192, 32768)]
    return [
        *prose(
            f"**Extrapolated**: a step of {BATCH} responses, {PROMPT} + {COMPLETION:,} tokens each, if a GPU did",
            f"{PRODUCTS / 1e12:.0f} TFLOP/s of bf16 products and read {READS / 1e12:.0f} TB/s. Both are assumptions:",
            "the rates measured above are a CPU's and say nothing of a GPU's. Communication, the optimizer's step,",
            "kernel launches and the reward are left out: a floor, good for comparing rows. Drawing is by engines of",
            "as many GPUs as hold the bf16 weights in half their memory, and takes the longer of its products and its",
            "reads.",
        ),
        *rows(["model, GPUs", "PFLOP per GPU", "of it the head", "update, s", "drawing, s", "step, s"], body),
        "The head's part grows with the vocabulary (1.5B, update):",
        "",
        *rows(["vocabulary", "operations per scored token, GFLOP", "of it the head"], vocabs),
        f"Attention's part grows with the sequence (7B, 64 GPUs, {BATCH} responses):",
        "",
        *rows(["tokens", "update, s", "of it attention", "drawing, s"], lengths),
    ]


def needed(of: ModelShape, chosen: Setup, gpus: int) -> tuple[float, float, float]:
    """Return the operations of one GPU's update: all, the head's, attention's."""
    one, times = work(of, chosen), BATCH / gpus / chosen.sequences
    return one.total * times, one.head * times, one.attention * times


def drawn(of: ModelShape, chosen: Setup, gpus: int) -> float:
    """Return the seconds of drawing."""
    engine = 1 << max(0, math.ceil(math.log2(2 * of.parameters / (GPU / 2 * GIB))))
    one = drawing(of, dataclasses.replace(chosen, rollouts=BATCH * engine // gpus))
    return max(one.operations / PRODUCTS, (one.weights_read + one.cache_read) / READS) / engine


def step(model: str, of: ModelShape, gpus: int) -> list[str]:
    """Return a row of the table of times."""
    operations, head, _ = needed(of, SETUP, gpus)
    update, draw = operations / PRODUCTS, drawn(of, SETUP, gpus)
    cells = [
        f"{operations / 1e15:,.2f}",
        f"{head / operations:.0%}",
        *(f"{t:,.1f}" for t in (update, draw, update + draw)),
    ]
    return [f"{model}, {gpus}", *cells]


def share(of: ModelShape) -> list[str]:
    """Return a row's cells on the head."""
    one = work(of, SETUP)
    return [f"{one.total / SETUP.rows / 1e9:.1f}", f"{one.head / one.total:.0%}"]


def by_length(of: ModelShape, length: int) -> list[str]:
    """Return a row's cells on attention."""
    chosen = longer(length)
    operations, _, attention = needed(of, chosen, 64)
    return [f"{operations / PRODUCTS:,.1f}", f"{attention / operations:.0%}", f"{drawn(of, chosen, 64):,.1f}"]


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a result file."""
    with (RESULTS / name).open() as file:
        return list(csv.DictReader(file))


def machine(row: dict[str, str]) -> str:
    """Return what the figures depend on."""
    return f"{row['device']}, torch {row['torch']}, transformers {row['transformers']}, {row['date']}"


def gathers() -> str:
    """Return what recipes send beside the sums: a table of those that gather, and the names of the others."""
    found = read("traffic.csv")
    rest = {row["recipe"]: row for row in found if not any(float(row[f"{kind}_bytes"]) for kind in GATHERED)}
    head = ["recipe", "gathers", "of", "bytes for each", *(f"R = {count:,}" for count in RANKS)]
    lines = [
        *prose(
            f"**Counted** (`benchmarks/traffic.py`, the embedded model, {found[0]['date']}). Sums are",
            f"{between(found, 'sums')} all-reduces of {between(found, 'sum_bytes')} bytes in all per step, whatever",
            "the model and the number of ranks. Some recipes gather besides: *gathers* per step, where a rollout batch",
            "has two steps of two micro-batches, and in the last columns what a rank receives per step,",
            f"scaled to {TOKENS:,} response tokens in {RESPONSES} responses a rank:",
        ),
        *rows(head, [gathered(row) for row in found if row["recipe"] not in rest]),
        *prose(f"The others gather nothing: {', '.join(f'`{name}`' for name in rest)}."),
    ]
    return "\n".join(lines).rstrip()


def between(found: list[dict[str, str]], key: str) -> str:
    """Return the range of a column."""
    values = [float(row[key]) for row in found]
    return f"{min(values):g} to {max(values):g}"


GATHERED = {"tokens": "every token", "candidates": "some tokens", "responses": "responses", "numbers": "few numbers"}


def gathered(row: dict[str, str]) -> list[str]:
    """Return a recipe's row of the table of gathers."""
    kinds = [kind for kind in GATHERED if float(row[f"{kind}_bytes"])]
    count = sum(float(row[f"{kind}_gathers"]) for kind in kinds)
    units = {"tokens": float(row["step_tokens"]), "candidates": float(row["step_tokens"])}
    units |= {"responses": float(row["step_responses"]), "numbers": 1.0}
    each = {kind: float(row[f"{kind}_bytes"]) / units[kind] for kind in kinds}
    many = {"tokens": TOKENS, "candidates": TOKENS, "responses": RESPONSES, "numbers": 1}
    received = [count * sum(each[kind] * many[kind] for kind in kinds) for count in RANKS]
    what = ", ".join(GATHERED[kind] for kind in kinds)
    return [f"`{row['recipe']}`", f"{count:g}", what, ", ".join(f"{each[k]:.3g}" for k in kinds), *map(short, received)]


def short(size: float) -> str:
    """Return bytes in three digits."""
    power = max(0, min(3, int(math.log10(max(size, 1)) // 3)))
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}"


def vocabulary() -> str:
    """Return what a clamp over a cut vocabulary moves, beside the logits."""
    size = MODELS["0.5B"][5]
    lines = prose(
        f"For {TOKENS:,} rows a clamp puts in {short(64 + 4120 * TOKENS)} per call, against {short(2 * TOKENS * size)}",
        f"for bf16 logits over V = {size:,}. Unlike the logits, this does not grow with the vocabulary.",
    )
    return "\n".join(lines).rstrip()


def page() -> str:
    """Return everything between the marks."""
    shapes = {model: shape(model) for model in MODELS}
    lines = [
        "## Memory of one GPU",
        "",
        *accuracy(),
        *prose(
            "**Extrapolated** by the same count (`entrostat.integrations.plan`; `entrostat run --dry-run` prints it",
            "for a job) to models of the shapes of Qwen2.5: GiB of one GPU at its fullest moment, allowances for",
            "the CUDA context, communication and fragmentation included;",
            f"(in brackets) where that is more than {GPU}. All parameters trained,",
            "weights in fp32, products in bf16, AdamW, gradient checkpointing, flash attention, vLLM on other",
            "GPUs. No large model was run.",
        ),
        *memory(shapes),
        "## Time of a step",
        "",
        *timed(),
        *times(shapes),
        "## The gradient's bytes beside ours",
        "",
        "Counted, for one micro-batch per step, fp32 gradients under DDP, bf16 under FSDP2:",
        "",
        *traffic(shapes),
    ]
    return "\n".join(lines).rstrip()


PARTS: dict[str, Callable[[], str]] = {"gathers": gathers, "vocabulary": vocabulary, "plan": page}
"""Name of a part of the page -> what stands between its marks."""


def renewed(text: str, name: str) -> str:
    """Return the page with one part written anew."""
    begin, end = f"<!-- {name}: docs/make_scaling.py -->", f"<!-- end of {name} -->"
    before, begins, rest = text.partition(begin)
    _, ends, after = rest.partition(end)
    if not (begins and ends):
        sys.exit(f"{PAGE.name} has no place for the figures: put {begin} and {end} into it")
    return f"{before}{begin}\n\n{PARTS[name]()}\n\n{end}{after}"


def main() -> None:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    old = PAGE.read_text(encoding="utf-8")
    new = functools.reduce(renewed, PARTS, old)
    if check and new != old:
        sys.exit(f"{PAGE.name} is out of date; run: python docs/make_scaling.py")
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
