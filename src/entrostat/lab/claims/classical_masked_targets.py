"""[55] A target entropy from the number of all actions cannot be met under a mask, and the temperature explodes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.controllers import Dual
from entrostat.lab import Claim, Outcome, Plot, Series, entropy, main, softmax
from entrostat.lab.classical import masked_target

ACTIONS = 20
RATIO = 0.98


def dual_ascent(q: Tensor, target: float, *, steps: int) -> list[float]:
    """Return the temperature after each step of dual ascent where the policy is `softmax(q / temperature)`."""
    law = Dual(target=target, rate=0.02, initial=1.0, floor=math.exp(-20), ceiling=math.exp(20))
    state = law.init()
    path = [law.coefficient(state)]
    for _ in range(steps):
        state = law.update(state, entropy=_entropy(q, path[-1]))
        path.append(law.coefficient(state))
    return path


def _entropy(q: Tensor, temperature: float) -> float:
    # One allowed action has no entropy; the tabular tools want at least two.
    return float(entropy(softmax(q / temperature))) if len(q) > 1 else 0.0


def check(quick: bool) -> Outcome:
    """Run dual ascent with 1, 2 and 5 of 20 actions allowed."""
    rng = torch.Generator().manual_seed(0)
    steps = 2000 if quick else 6000
    full = RATIO * math.log(ACTIONS)
    figures: dict[str, float | str] = {}
    lines: list[Series] = []
    holds = True
    for allowed in (1, 2, 5):
        q = torch.randn(allowed, generator=rng, dtype=torch.float64)
        target = float(masked_target(torch.tensor(allowed), ratio=RATIO))
        plain, masked = dual_ascent(q, full, steps=steps), dual_ascent(q, target, steps=steps)
        missed = abs(_entropy(q, masked[-1]) - target)
        figures[f"{allowed} allowed, target .98 log 20: temperature"] = plain[-1]
        figures[f"{allowed} allowed, target .98 log {allowed}: temperature"] = masked[-1]
        figures[f"{allowed} allowed, target .98 log {allowed}: entropy misses it by"] = missed
        holds = holds and plain[-1] > 1e8 and masked[-1] < 100 and missed < 1e-2
        shown = range(0, steps, steps // 40)
        for name, path in (
            (f"{allowed} allowed, .98 log 20", plain),
            (f"{allowed} allowed, .98 log {allowed}", masked),
        ):
            lines.append(Series(name=name, x=[float(k) for k in shown], y=[path[k] for k in shown]))
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures=figures,
        seeds=(0,),
        plots=(
            Plot(
                title="Temperature under a reachable and an unreachable target",
                x_label="step of dual ascent",
                y_label="temperature (clipped at e^20)",
                series=tuple(lines),
                log_y=True,
            ),
        ),
        remarks="Values of the actions are normally distributed; the temperature is the library's `Dual` controller.",
    )


CLAIM = Claim(
    name="classical_masked_targets",
    statement=(
        "The entropy target .98 log|A| sends the temperature to its clip wherever a mask leaves few actions; "
        ".98 log n(s) is met everywhere at a moderate temperature."
    ),
    source="[55] van Remmerden, Bukhsh, Zhang 2025, arXiv 2409.10589 (authors' code read)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
