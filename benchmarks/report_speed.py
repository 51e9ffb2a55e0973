"""Shows what a report of many long runs costs: to write, to keep, to open.

    python benchmarks/report_speed.py [--runs 50] [--steps 10000] [--out benchmarks/results/report_speed.txt]

Writes made-up runs into a temporary directory, then a report of them, and opens it in headless Chromium where there is
one (and playwright is installed). Where other programs take the processor, the CPU seconds tell more than the others.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from entrostat.observe.records import EvaluationRecord, StepRecord, encode
from entrostat.observe.report import write_report

RECIPES = ("none", "entropy_bonus", "aent", "skywork", "clip_higher")
TOKENS = 40
FLAGS = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
SIGNS = {"seen": ".still polyline", "ready": "#plot-entropy .js-line"}
"""Signs that the first curves are on the screen: as a still picture, then as a plot that answers."""
WATCH = """
const found = new Set();
new MutationObserver(() => {
  for (const [name, sign] of Object.entries(SIGNS)) {
    if (found.has(name) || !document.querySelector(sign)) continue;
    found.add(name);
    const note = () => (document.documentElement.dataset[name] = String(performance.now()));
    requestAnimationFrame(() => requestAnimationFrame(note));
  }
}).observe(document, { childList: true, subtree: true });
""".replace("SIGNS", json.dumps(SIGNS))
OPENS = 5


class Opened(NamedTuple):
    """Seconds from the start of an opening."""

    seen: float
    """Until the first curves are on the screen."""
    ready: float
    """Until they can be pointed at."""
    work: float
    """Of CPU, by the process that shows the page, from its start until then."""


def step_line(step: int, drift: float, noise: random.Random) -> str:
    """Return a step on record with all its fields."""
    entropy = 0.1 + 0.4 * math.exp(-drift * step) + 0.02 * noise.random()
    fields = {name: round(noise.random(), 9) for name in ("reward", "clip_low", "clip_high", "silent_groups", "loss")}
    record = StepRecord(
        step=step, entropy=entropy, clamped_entropy=0.98 * entropy, kept_mass=0.99, coef=0.04 * noise.random(),
        bonus=-0.01 * noise.random(), useless_mass=0.001, length=200 + 50 * noise.random(), grad_norm=0.3,
        band_low=0.2, band_high=0.4, seconds=1.5 * step, **fields,
    )  # fmt: skip
    return encode(record)


def answer_line(step: int, problem: int, noise: random.Random) -> str:
    """Return an answer token by token."""
    chances = [noise.random() for _ in range(TOKENS)]
    words = [f" w{noise.randrange(2000)}" for _ in chances]
    top = [[[f" w{noise.randrange(2000)}", p / (rank + 1), True] for rank in range(5)] for p in chances]
    answer: dict[str, Any] = {
        "schema": 1, "step": step, "split": "validation", "problem": problem, "prompt": "4 7 9 > 20 :", "reward": 1.0,
        "cut": 0, "tokens": words, "entropy": chances, "clamped_entropy": chances, "chosen": chances,
        "chosen_kept": [True] * TOKENS, "kept_mass": chances, "top": top,
    }  # fmt: skip
    return json.dumps(answer)


def write_run(out: Path, recipe: str, seed: int, steps: int) -> None:
    """Write one made-up run."""
    path = out / "runs" / f"{recipe}-seed{seed}"
    path.mkdir(parents=True)
    run = {"schema": 1, "label": recipe, "recipe": recipe, "seed": seed, "steps": steps, "status": "done"}
    (path / "run.json").write_text(json.dumps(run))
    noise = random.Random(f"{recipe} {seed}")
    at = range(0, steps + 1, max(1, steps // 20))
    passes = [
        EvaluationRecord(
            step=step, split="validation", pass_at={"1": 0.3, "8": 0.6}, problems=64, samples=8, temperature=1.0
        )
        for step in at
    ]
    drift = 1 / (steps * (0.2 + noise.random()))
    lines = [*map(encode, passes), *(step_line(step, drift, noise) for step in range(1, steps + 1))]
    (path / "records.jsonl").write_text("\n".join(lines) + "\n")
    answers = [answer_line(step, problem, noise) for step in at for problem in range(6)]
    (path / "tokens.jsonl").write_text("\n".join(answers) + "\n")


def opened(page: Path) -> list[Opened]:
    """Open the page some times; nothing without a browser."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if browser is None:
        return []
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=[f"--{flag}" for flag in FLAGS])
        return [first_curves(chromium, page) for _ in range(OPENS)]


def first_curves(chromium: Any, page: Path) -> Opened:
    """Open the page anew and wait for its first curves."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable")
    tab.add_init_script(WATCH)
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
    used = work(session)
    seen, ready = (float(tab.evaluate(f"document.documentElement.dataset.{name}")) / 1000 for name in SIGNS)
    tab.close()
    return Opened(seen, ready, used)


def work(session: Any) -> float:
    """Return the CPU seconds of the process that shows the page."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in metrics if one["name"] == "ProcessTime")


def memory() -> float:
    """Return the most this process has held, in GB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def summary(times: list[Opened]) -> str:
    """Return the medians in words."""
    if not times:
        return "opening not measured: no Chromium or no playwright"
    seen, ready, used = (statistics.median(column) for column in zip(*times, strict=True))
    return (
        f"medians of {len(times)} openings: first curves seen after {seen:.2f} s, ready to be pointed at after "
        f"{ready:.2f} s ({used:.2f} s of CPU)"
    )


def measured(runs: int, steps: int) -> str:
    """Write the runs and their report, open it, and say what it took."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place)
        for number in range(runs):
            write_run(out, RECIPES[number % len(RECIPES)], number // len(RECIPES), steps)
        began, worked = time.perf_counter(), time.process_time()
        page = write_report([out], out / "report.html")
        wall, cpu = time.perf_counter() - began, time.process_time() - worked
        size = page.stat().st_size / 1e6
        times = opened(page)
    return (
        f"{runs} runs of {steps:,} steps: written in {wall:.1f} s ({cpu:.1f} s of CPU, {memory():.1f} GB of memory), "
        f"{size:.2f} MB\n{summary(times)}\n"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    load = f"load {os.getloadavg()[0]:.1f} before and {{:.1f}} after"
    found = measured(chosen.runs, chosen.steps)
    text = f"{datetime.date.today()}, {machine}, {load.format(os.getloadavg()[0])}\n{found}"
    sys.stdout.write(text)
    if chosen.out:
        chosen.out.write_text(text)


if __name__ == "__main__":
    main()
