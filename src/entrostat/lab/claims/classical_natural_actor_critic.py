"""[56] Averaging steps make the policy a softmax of the average critic: fast, never near-deterministic, noise-proof."""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import MDP, Claim, Outcome, Plot, Series, dense_mdp, main, soft_value_iteration
from entrostat.lab.classical import NaturalActorCritic, run_natural_actor_critic

TEMPERATURE = 0.1
NOISE = 0.5
LAWS = {
    "averaging": NaturalActorCritic(temperature=TEMPERATURE),
    "constant": NaturalActorCritic(temperature=TEMPERATURE, averaging=False, step=0.5 / TEMPERATURE),
    "no entropy": NaturalActorCritic(temperature=0.0, averaging=False, step=5.0),
}


def random_mdp(seed: int) -> MDP:
    """Return 8 states, 4 actions, rewards in [0, 1], discount 0.9, few likely successors."""
    rng = torch.Generator().manual_seed(seed)
    # The square of a Gaussian has the law of a Gamma(1/2): normalised, a Dirichlet(1/2).
    weights = torch.randn(8, 4, 8, generator=rng, dtype=torch.float64).square()
    rewards = torch.rand(8, 4, generator=rng, dtype=torch.float64)
    return dense_mdp(rewards=rewards, transitions=weights / weights.sum(-1, keepdim=True), discount=0.9)


def exact_gaps(name: str, seed: int, *, iterations: int) -> Tensor:
    """Return `[iterations]`: the largest shortfall of any state's value, with an exact critic."""
    mdp = random_mdp(seed)
    best = soft_value_iteration(mdp, coef=TEMPERATURE).values
    return (best - run_natural_actor_critic(mdp, LAWS[name], iterations=iterations).values).amax(-1)


def averaging_error(seed: int, *, iterations: int) -> float:
    """Return how far the preferences are from the average critic over the temperature."""
    run = run_natural_actor_critic(random_mdp(seed), LAWS["averaging"], iterations=iterations)
    return float((run.preferences - run.mean_critic / TEMPERATURE).abs().max())


def noisy(name: str, seed: int, *, iterations: int) -> tuple[float, float]:
    """Return the mean shortfall over the last sixth of a run with a noisy critic, and its least probability."""
    mdp = random_mdp(seed)
    rng = torch.Generator().manual_seed(seed)

    def noise(q: Tensor) -> Tensor:
        return q + NOISE * torch.randn(q.shape, generator=rng, dtype=q.dtype)

    run = run_natural_actor_critic(mdp, LAWS[name], iterations=iterations, judged_by=TEMPERATURE, noise=noise)
    gaps = (soft_value_iteration(mdp, coef=TEMPERATURE).values - run.values).amax(-1)
    return float(gaps[-iterations // 6 :].mean()), run.least_probability


def check(quick: bool) -> Outcome:
    """Run it with an exact and with a noisy critic."""
    seeds = tuple(range(1 if quick else 2))
    iterations = 240 if quick else 2000
    gaps = torch.stack([exact_gaps("averaging", s, iterations=iterations // 2) for s in seeds]).amax(0)
    constant = max(float(exact_gaps("constant", s, iterations=41)[-1]) for s in seeds)
    error = max(averaging_error(s, iterations=200) for s in seeds)
    runs = {name: [noisy(name, s, iterations=iterations) for s in seeds] for name in LAWS}
    tail = {name: sum(gap for gap, _ in r) / len(r) for name, r in runs.items()}
    least = {name: min(p for _, p in r) for name, r in runs.items()}
    last = len(gaps)
    rate = float((gaps[9] / gaps[99 if last > 99 else last - 1]).log10() / torch.tensor(min(last, 100) / 10).log10())
    calm = tail["averaging"] < 0.1 * tail["constant"] and tail["averaging"] < tail["no entropy"]
    exact = error < 1e-10 and constant < 1e-10 and rate > 1
    times = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= last]
    return Outcome(
        verdict="holds" if exact and calm and least["averaging"] > 1e-40 else "does not hold",
        figures={
            **{
                f"averaging, exact critic: gap after {t} steps": float(gaps[t - 1])
                for t in times
                if t in (1, 10, 100, 1000)
            },
            "power of 1/t between 10 and 100 steps": rate,
            "preferences minus average critic over lambda": error,
            "constant step, exact critic: gap after 40 steps": constant,
            **{f"noisy critic, {name}: gap": gap for name, gap in tail.items()},
            **{f"noisy critic, {name}: least probability": p for name, p in least.items()},
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Averaging natural actor-critic, exact critic",
                x_label="step",
                y_label="largest gap of a regularised value",
                series=(
                    Series(name="averaging steps", x=[float(t) for t in times], y=[float(gaps[t - 1]) for t in times]),
                ),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks=(
            "lambda = 0.1; the noise added to Q has standard deviation 0.5. Tabular form, exact evaluation: the "
            "paper's neural width and sample bounds are not tested."
        ),
    )


CLAIM = Claim(
    name="classical_natural_actor_critic",
    statement=(
        "With steps 1/(lambda (t+1)) the policy is the softmax of the average critic over lambda: it converges faster "
        "than 1/t, keeps every action's probability up, and stands a noisy critic that ruins constant steps."
    ),
    source="[56] Cayci, He, Srikant 2024, arXiv 2206.00833 (abstract only; updates from memory, tabular form derived)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
