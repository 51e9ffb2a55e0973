"""[71] Frank-Wolfe over policies reaches the largest entropy of visits, with a gap in proportion to its step."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from entrostat.lab import MDP, Claim, Outcome, Plot, Series, entropy, main, softmax
from entrostat.lab.classical import Mixture, best_policy, exploration_reward, frank_wolfe, line_world, visits

STATES = 11


def largest_entropy(mdp: MDP) -> tuple[float, float]:
    """Return the largest entropy of visits over all policies, and a bound on what it may lack.

    Found by L-BFGS on a softmax policy, which can have any visits a mixture has; the bound is Frank-Wolfe's duality
    gap: concavity caps every other entropy by the linear one.
    """
    logits = torch.zeros(mdp.states, mdp.actions, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -entropy(visits(mdp, softmax(logits)))
        value.backward()
        return value

    optimizer.step(loss)
    policy = softmax(logits.detach())
    density = visits(mdp, policy)
    reward = exploration_reward(density, smoothing=1e-12)
    rival = best_policy(mdp, reward, start=torch.eye(mdp.actions, dtype=torch.float64)[policy.argmax(-1)])
    return float(entropy(density)), float(reward @ (visits(mdp, rival) - density))


def best_deterministic(mdp: MDP) -> float:
    """Return the largest entropy of visits of a deterministic policy, by trying all of them at once."""
    choices = torch.tensor(list(itertools.product(range(mdp.actions), repeat=mdp.states)))
    after = mdp.successors.squeeze(-1)[torch.arange(mdp.states), choices]
    moves = torch.nn.functional.one_hot(after, mdp.states).double()
    system = torch.eye(mdp.states, dtype=torch.float64) - mdp.discount * moves.mT
    return float(entropy((1 - mdp.discount) * torch.linalg.solve(system, mdp.start)).max())


def entropies(mixture: Mixture) -> list[float]:
    """Return the entropy of the visits of each round's mixture."""
    return entropy(mixture.history).tolist()


def check(quick: bool) -> Outcome:
    """Run constant steps with 8 / eta rounds, and the decreasing step 2 / (t + 2)."""
    mdp = line_world(STATES)
    best, slack = largest_entropy(mdp)
    steps = (0.2, 0.1) if quick else (0.2, 0.1, 0.03, 0.01)
    runs = {eta: entropies(frank_wolfe(mdp, rounds=int(8 / eta), step=eta)) for eta in steps}
    gap = {eta: best - run[-1] for eta, run in runs.items()}
    rounds = 100 if quick else 400
    falling = entropies(frank_wolfe(mdp, rounds=rounds, step=lambda t: 2 / (t + 2), smoothing=0.001))
    authors = frank_wolfe(mdp, rounds=rounds, step=lambda t: 2 / (t + 2), reward=lambda d: 1 / (d + STATES**-0.5))
    single, uniform = best_deterministic(mdp), float(entropy(visits(mdp, torch.full((STATES, 2), 0.5))))
    ordered = all(gap[b] < gap[a] for a, b in itertools.pairwise(steps))
    holds = ordered and best - falling[-1] < 1e-3 and single < uniform < best - 0.1 and slack < 1e-4
    lines = tuple(
        Series(name=name, x=[float(k + 1) for k in range(len(run))], y=[max(best - h, 1e-6) for h in run])
        for name, run in (*((f"eta = {eta}", run) for eta, run in runs.items()), ("eta = 2/(t+2)", falling))
    )
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "largest entropy of visits": best,
            "certified to": slack,
            "best deterministic policy": single,
            "uniformly random policy": uniform,
            **{f"gap at eta = {eta}": g for eta, g in gap.items()},
            f"gap at eta = 2/(t+2), {rounds} rounds": best - falling[-1],
            "gap with the authors' reward 1/(d + 1/sqrt S)": best - float(entropy(authors.density)),
        },
        plots=(
            Plot(
                title="Frank-Wolfe on a line of 11 states",
                x_label="policies in the mixture",
                y_label="gap to the largest entropy (nats)",
                series=lines,
                log_x=True,
                log_y=True,
            ),
        ),
        remarks="Exact planning and exact visits, discount 0.9. A constant step is not monotone: single rounds lose.",
    )


CLAIM = Claim(
    name="classical_frank_wolfe",
    statement=(
        "A mixture of policies grown by Frank-Wolfe on the gradient of the entropy of visits reaches its maximum up to "
        "a gap that shrinks with the step, far above every deterministic policy."
    ),
    source="[71] Hazan, Kakade, Singh, van Soest 2019, arXiv 1812.02690 (introduction and authors' code read)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
