"""Time of a step against model size, depth, length, batch and vocabulary, and a model of it judged on left-out points.

Small models on one thread of a CPU draw rollouts and make one update (backbone, our fused head, backward pass, AdamW).
All points take turns, round after round; a point's time is the median over the rounds of its CPU seconds, which other
processes on the machine do not count into. Two models of the seconds, fitted by least squares of relative errors:

    one rate        operations of all matrix products (`entrostat.integrations.plan._work`) / rate
    stated model    update   operations / rate + activations' bytes / rate + logits / rate + parameters / rate
                    rollout  operations / rate + cache's bytes / rate + steps x blocks / rate

Each point is predicted from the others ("left out"), and the two largest models from all smaller ones ("larger").

    python benchmarks/step_time.py [--rounds 3] [--out benchmarks/results/step_time.csv]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from entrostat.integrations.plan import ModelShape, Setup, shape_of
from entrostat.integrations.plan._activations import activations
from entrostat.integrations.plan._work import drawing, work
from entrostat.jobs.bench._bench import machine
from entrostat.jobs.bench._rates import Amounts, fit_costs, left_out, predict, spread
from entrostat.jobs.bench._table import write_table
from entrostat.ops import linear_token_stats

PROMPT = 32
PHASES = ("update", "rollout")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model and batch; the sequences are as long as prompt and response together."""

    hidden: int = 128
    layers: int = 4
    vocab: int = 4096
    length: int = 128
    sequences: int = 4
    larger: bool = False

    @property
    def setup(self) -> Setup:
        """What the plan is told; on a CPU the head is given every position."""
        return Setup(
            sequences=self.sequences, prompt=PROMPT, completion=self.length - PROMPT, compute="float32",
            checkpointing=False, compact=False,
        )  # fmt: skip

    def config(self) -> Any:
        """Return a config with four times the width inside and a key head for every two query heads."""
        heads = max(4, self.hidden // 32)
        return transformers.Qwen2Config(
            vocab_size=self.vocab, hidden_size=self.hidden, intermediate_size=4 * self.hidden,
            num_hidden_layers=self.layers, num_attention_heads=heads, num_key_value_heads=heads // 2,
            max_position_embeddings=self.length, tie_word_embeddings=True,
        )  # fmt: skip


POINTS = (
    Point(),
    *(Point(hidden=hidden) for hidden in (64, 256)),
    *(Point(layers=layers) for layers in (2, 8)),
    *(Point(vocab=vocab) for vocab in (1024, 12288)),
    *(Point(length=length) for length in (64, 224)),
    *(Point(sequences=sequences) for sequences in (2, 8)),
    Point(hidden=256, layers=2, vocab=1024),
    Point(hidden=64, layers=8, length=192),
    Point(hidden=192, layers=6, sequences=2, vocab=8192),
    Point(hidden=256, layers=6, vocab=8192, larger=True),
    Point(hidden=320, layers=6, vocab=4096, length=192, larger=True),
)


class Training:
    """A model, its optimizer, and the two phases of a step on random tokens."""

    def __init__(self, point: Point) -> None:
        torch.manual_seed(0)
        self.point = point
        self.model: Any = transformers.AutoModelForCausalLM.from_config(point.config()).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=True)
        self.ids = torch.randint(3, point.vocab, (point.sequences, point.length))
        self.mask = torch.ones_like(self.ids)
        self.mask[0, :3] = 0
        self.settings = transformers.GenerationConfig(
            max_new_tokens=point.length - PROMPT, min_new_tokens=point.length - PROMPT, do_sample=True, top_k=0,
            pad_token_id=0, eos_token_id=1,
        )  # fmt: skip

    def update(self) -> None:
        """Forward and backward pass with the clamped entropy in the loss, and a step."""
        hidden = self.model.model(input_ids=self.ids, attention_mask=self.mask, use_cache=False).last_hidden_state
        stats = linear_token_stats(hidden[:, :-1], self.model.lm_head.weight, self.ids[:, 1:], clamp=0.33)
        (-(stats.logprobs + 0.01 * stats.clamped_entropy).mean()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def rollout(self) -> None:
        """Draw a response of full length to every prompt."""
        self.model.eval()
        self.model.generate(self.ids[:, :PROMPT], attention_mask=self.mask[:, :PROMPT], generation_config=self.settings)
        self.model.train()


def amounts(shape: ModelShape, setup: Setup) -> dict[str, Amounts]:
    """Return what a step consists of, by phase."""
    needed, drawn = work(shape, setup), drawing(shape, setup)
    update = {
        "operations": needed.total,
        "activation bytes": float(activations(shape, setup).kept),
        "logits": float(setup.rows * shape.vocab),
        "parameters": float(needed.parameters),
    }
    rollout = {
        "operations": drawn.operations,
        "cache bytes": drawn.cache_read,
        "steps x blocks": float(drawn.steps * shape.layers),
    }
    return {"update": update, "rollout": rollout}


def seconds(call: Callable[[], None]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(rounds: int) -> list[dict[str, float]]:
    """Return the median seconds of every point's phases; the points take turns."""
    trainings = [Training(point) for point in POINTS]
    times: list[dict[str, list[float]]] = [{phase: [] for phase in PHASES} for _ in POINTS]
    for number in range(rounds + 1):
        for training, taken in zip(trainings, times, strict=True):
            for phase in PHASES:
                spent = seconds(getattr(training, phase))
                # The first round warms up.
                taken[phase] += [spent] if number else []
        print(f"round {number} of {rounds}", flush=True)
    return [{phase: statistics.median(values) for phase, values in taken.items()} for taken in times]


def judge(name: str, rows: list[Amounts], taken: list[float], say: bool = True) -> list[float]:
    """Return predicted over measured of every point, the larger ones last, from points that are not larger."""
    small = [at for at, point in enumerate(POINTS) if not point.larger]
    known, known_taken = [rows[at] for at in small], [taken[at] for at in small]
    ratios = left_out(known, known_taken)
    costs = fit_costs(known, known_taken)
    beyond = [predict(costs, rows[at]) / taken[at] for at, point in enumerate(POINTS) if point.larger]
    if say:
        median, worst = spread(ratios)
        rates = ", ".join(f"{1 / cost:.3g} {kind}/s" if cost else f"{kind} free" for kind, cost in costs.items())
        larger = ", ".join(f"{ratio:.2f}" for ratio in beyond)
        print(f"{name:22} left out: off by {median:.0%} (median), {worst:.0%} (worst); larger: {larger}; {rates}")
    return [*ratios, *beyond]


def table(taken: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return the rows of the result, and print how well either model does."""
    counted = [amounts(shape_of(point.config()), point.setup) for point in POINTS]
    rows: list[dict[str, Any]] = [dict(asdict(point)) for point in POINTS]
    for phase in PHASES:
        stated, times = [one[phase] for one in counted], [one[phase] for one in taken]
        rate = [{"operations": one["operations"]} for one in stated]
        by_rate, by_model = judge(f"{phase}, one rate", rate, times), judge(f"{phase}, stated model", stated, times)
        for row, measured, one, model, what in zip(rows, times, by_rate, by_model, stated, strict=True):
            row |= {f"{phase}_{kind.replace(' ', '_')}": f"{amount:.6g}" for kind, amount in what.items()}
            row |= {f"{phase}_seconds": f"{measured:.5g}"}
            row |= {f"{phase}_one_rate_ratio": f"{one:.4f}", f"{phase}_model_ratio": f"{model:.4f}"}
    return rows


def main() -> None:
    """Measure, fit, judge; write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    rows = table(measure(options.rounds))
    if options.out is not None:
        facts = machine() | {"transformers": transformers.__version__, "rounds": options.rounds}
        write_table(options.out, rows, facts)


if __name__ == "__main__":
    main()
