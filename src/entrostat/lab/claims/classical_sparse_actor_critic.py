"""[52] The actor-critic with sparse Tsallis entropy learns a continuous task, like soft actor-critic."""

from __future__ import annotations

import importlib.util

from entrostat.lab import Claim, Outcome, Plot, Series, main
from entrostat.lab.classical import SparseActorCritic, Training
from entrostat.lab.classical._sparse_actor_critic import NEEDS_GYMNASIUM

TASK = "Pendulum-v1"
EPISODE = 200


def learned(index: float, seed: int, *, steps: int) -> Training:
    """Train on the pendulum with Tsallis entropy of this index; 1 is Shannon."""
    law = SparseActorCritic(index=index, temperature=0.05, discount=0.98, polyak=0.98, rate=3e-3, reward_scale=0.1)
    return law.train(TASK, steps=steps, seed=seed)


def check(quick: bool) -> Outcome:
    """Compare the first with the last episodes, and Tsallis with Shannon entropy."""
    if importlib.util.find_spec("gymnasium") is None:
        return Outcome(verdict="not tested", figures={"missing": NEEDS_GYMNASIUM})
    seeds = tuple(range(1 if quick else 2))
    steps = 2400 if quick else 4000
    indices = (2.0,) if quick else (2.0, 1.0)
    names = {2.0: "sparse Tsallis", 1.0: "Shannon"}
    figures: dict[str, float | str] = {}
    lines: list[Series] = []
    better = True
    for index in indices:
        runs = [learned(index, seed, steps=steps) for seed in seeds]
        curve = [sum(run.returns[k] for run in runs) / len(runs) for k in range(steps // EPISODE)]
        before, after = sum(curve[:2]) / 2, sum(curve[-3:]) / 3
        figures[f"{names[index]}: return of the first two episodes"] = before
        figures[f"{names[index]}: return of the last three"] = after
        figures[f"{names[index]}: deviation of the policy before squashing"] = sum(r.scale for r in runs) / len(runs)
        better = better and after > before + 400
        lines.append(Series(name=names[index], x=[float(k + 1) for k in range(len(curve))], y=curve))
    return Outcome(
        verdict="holds" if better else "does not hold",
        figures=figures,
        seeds=seeds,
        plots=(
            Plot(
                title="Swinging up a pendulum",
                x_label="episode of 200 steps",
                y_label="return, exploration included",
                series=tuple(lines),
            ),
        ),
        remarks=(
            "Two hidden layers of 64, one update a step, one core; settings quicker than the authors' (rate 3e-3, "
            "polyak 0.98). The paper's claim of faster convergence than other methods is not tested: that needs its "
            "tasks and many more seeds."
        ),
    )


CLAIM = Claim(
    name="classical_sparse_actor_critic",
    statement=(
        "Soft actor-critic with its logarithm replaced by Tsallis' q-logarithm (q = 2) learns to swing up a pendulum "
        "within a few thousand steps."
    ),
    source="[52] Choy, Lee, Oh 2020 (abstract only; updates of the same group's code)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
