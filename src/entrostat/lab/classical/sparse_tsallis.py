"""Sparse Tsallis regularisation: the optimal policy is a sparsemax, and its regret does not grow with the actions."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import evaluate, tsallis_value_iteration
from entrostat.lab._policy import softmax, sparsemax
from entrostat.lab.classical.multilevel import random_mdp
from entrostat.measures import tsallis


# maximise  p.q + alpha (1 - |p|^2)/2  over the simplex, z = q/alpha:   p = max(z - theta, 0)  on the support 1..K,
#     value = alpha ( 1/2 sum_{j<=K} (z_j^2 - theta^2) + 1/2 )
def sparse_value(q: Tensor, *, temperature: float) -> Tensor:
    """Best value of `p.q + temperature * S_2(p)` over distributions p, in closed form.

        V = alpha ( 1/2 sum_{j in support} (z_j^2 - theta^2) + 1/2 ),   z = q / alpha

    Args:
        q: `[..., A]` action values.
        temperature: alpha, positive.

    Returns:
        `[...]`, float64; between `max q` and `max q + sparse_regret_bound`.

    Raises:
        ValueError: `temperature` not positive, or fewer than two actions.

    Reference:
        Lee, Choi, Oh, "Sparse Markov decision processes with causal sparse Tsallis entropy regularization", 2018.

    Example:
        >>> float(sparse_value(torch.zeros(2), temperature=0.5))  # S_2 of a fair coin is 1/4
        0.125
    """
    z = q.double() / _positive(temperature)
    policy = sparsemax(z)
    support = policy > 0
    theta = (z - policy).where(support, 0).sum(-1, keepdim=True) / support.sum(-1, keepdim=True)
    return temperature * ((z.square() - theta.square()).where(support, 0).sum(-1) + 1) / 2


def sparse_regret_bound(actions: int, *, temperature: float) -> float:
    """Most reward per step that sparse regularisation gives away: `alpha (|A| - 1) / (2 |A|)`, below `alpha / 2`.

    Example:
        >>> sparse_regret_bound(2, temperature=0.5)
        0.125
    """
    require_count("actions", actions, least=2)
    return _positive(temperature) * (actions - 1) / (2 * actions)


def q_logarithm(x: Tensor, *, index: float) -> Tensor:
    """The q-logarithm of Tsallis' entropies in the entropic index: `ln_2(x) = x - 1`, `ln_1 = log`.

        ln_q(x) = (x^(q-1) - 1) / (q - 1)          S_q(p) = -E ln_q(p) / q

    Sources differ by the factor `1/q`: with the half of S_2 it stands for `measures.tsallis(q=2)`.

    Args:
        x: probabilities or densities, positive.
        index: the entropic index, positive.

    Example:
        >>> float(q_logarithm(torch.tensor(0.25), index=2.0))
        -0.75
    """
    require(require_finite("index", index) > 0, "index", "be positive", index)
    return x.log() if index == 1 else (x ** (index - 1) - 1) / (index - 1)


def _positive(temperature: float) -> float:
    require(require_finite("temperature", temperature) > 0, "temperature", "be positive", temperature)
    return temperature


# [52] The optimum of reward plus Tsallis entropy is a sparsemax, whose support grows with the temperature.


def objective(policy: Tensor, q: Tensor, temperature: float) -> Tensor:
    """Return `p.q + temperature * S_2(p)` with the library's own measure."""
    return (policy * q).sum(-1) + temperature * tsallis(policy.log(), q=2.0)


def optimality(temperature: float, *, rivals: int, rng: torch.Generator) -> tuple[float, float]:
    """Return the error of the closed form and the least shortfall of random distributions against it."""
    q = torch.randn(8, generator=rng, dtype=torch.float64)
    value = sparse_value(q, temperature=temperature)
    error = float((objective(sparsemax(q / temperature), q, temperature) - value).abs())
    # Exponential weights to a random power: from nearly uniform to nearly certain distributions.
    weights = torch.rand(rivals, 8, generator=rng, dtype=torch.float64).log().neg()
    weights = weights ** (4 * torch.rand(rivals, 1, generator=rng, dtype=torch.float64))
    rival = weights / weights.sum(-1, keepdim=True)
    return error, float((value - objective(rival, q, temperature)).min())


def support_sizes(temperatures: list[float], *, actions: int, rng: torch.Generator) -> list[float]:
    """Return how many of `actions` normally distributed values keep probability."""
    q = torch.randn(actions, generator=rng, dtype=torch.float64)
    return [float((sparsemax(q / t) > 0).sum()) for t in temperatures]


@claim("classical", source="[52] Choy, Lee, Oh 2020 (abstract only; formulas of Lee, Choi, Oh 2018 from memory)")
def classical_sparse_optimum(quick: bool) -> Outcome:
    """Under the Tsallis entropy of index 2 the optimal policy is the sparsemax of the values over the temperature, with
    a closed-form value and a support that grows with the temperature.
    """
    # Compare the closed form with random distributions, and with policy evaluation on a random MDP.
    rng = torch.Generator().manual_seed(0)
    trials = [optimality(t, rivals=2000 if quick else 50_000, rng=rng) for t in (0.1, 0.5, 1.0, 3.0)]
    error, shortfall = max(t[0] for t in trials), min(t[1] for t in trials)
    temperatures = [0.01 * 2**k for k in range(12)]
    sizes = support_sizes(temperatures, actions=1000, rng=rng)
    mdp = random_mdp(1)
    best = tsallis_value_iteration(mdp, coef=0.3)
    again = evaluate(mdp, best.policy, coef=0.3, regulariser="tsallis").values
    bellman = float((best.values - again).abs().max())
    grows = sizes == sorted(sizes) and sizes[-1] > 10 * sizes[0]
    return Outcome(
        verdict="holds" if error < 1e-12 and shortfall > 0 and bellman < 1e-9 and grows else "does not hold",
        figures={
            "largest error of the closed form": error,
            "least shortfall of a random distribution": shortfall,
            "MDP: optimal value against its policy's value": bellman,
            "support of 1000 actions at temperature 0.01": sizes[0],
            "support of 1000 actions at temperature 20.5": sizes[-1],
        },
        seeds=(0,),
        plots=(
            Plot(
                title="Actions that keep probability under a sparse optimum",
                x_label="temperature",
                y_label="actions in the support, of 1000",
                series=(Series(name="normally distributed values", x=temperatures, y=sizes),),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks="The entropy is the library's `measures.tsallis(q=2)`, (1 - sum p^2)/2.",
    )


# [52] The cost of entropy in reward: bounded for sparse Tsallis entropy, growing with log|A| for Shannon's.

TEMPERATURE = 0.5


def regrets(actions: int, seed: int) -> tuple[float, float]:
    """Return the regret of the sparse and of the soft optimum where `actions` values are normally distributed."""
    q = torch.randn(actions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return _regret(q, sparsemax(q / TEMPERATURE)), _regret(q, softmax(q / TEMPERATURE))


def _regret(q: Tensor, policy: Tensor) -> float:
    return float(q.max() - policy @ q)


@claim("classical", source="[52] Choy, Lee, Oh 2020 (abstract only; bound of Lee, Choi, Oh 2018 from memory)")
def classical_sparse_regret(quick: bool) -> Outcome:
    """Sparse Tsallis regularisation gives away at most alpha (|A| - 1) / (2 |A|) of reward per step, however many
    actions there are; Shannon's gives away more as actions are added.
    """
    # Measure regrets over numbers of actions up to 32,768.
    seeds = tuple(range(3 if quick else 20))
    actions = [4, 64, 1024, 32768]
    table = torch.tensor([[regrets(n, s) for s in seeds] for n in actions])
    sparse, soft = table.mean(1).unbind(-1)
    bounds = torch.tensor([sparse_regret_bound(n, temperature=TEMPERATURE) for n in actions])
    within = bool((table[..., 0] <= bounds[:, None]).all())
    tied = {n: float(sparse_value(torch.zeros(n), temperature=TEMPERATURE)) for n in (2, 1000)}
    exact = all(abs(v - sparse_regret_bound(n, temperature=TEMPERATURE)) < 1e-12 for n, v in tied.items())
    return Outcome(
        verdict="holds" if within and exact and soft[-1] > 10 * sparse[-1] else "does not hold",
        figures={
            "sparse regret at 32768 actions": float(sparse[-1]),
            "its bound, alpha (|A| - 1) / (2 |A|)": float(bounds[-1]),
            "softmax regret at 32768 actions": float(soft[-1]),
            "its bound, alpha log |A|": TEMPERATURE * math.log(actions[-1]),
            "sparse bonus with 2 tied actions": tied[2],
            "sparse bonus with 1000 tied actions": tied[1000],
            "Shannon bonus with 1000 tied actions": TEMPERATURE * math.log(1000),
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Reward given away by the regularised optimum",
                x_label="actions",
                y_label="regret per step",
                series=(
                    Series(name="sparse Tsallis", x=actions, y=sparse.tolist()),
                    Series(name="its bound", x=actions, y=bounds.tolist(), reference=True),
                    Series(name="Shannon", x=actions, y=soft.tolist()),
                ),
                log_x=True,
            ),
        ),
        remarks="Temperature 0.5, one state. On an MDP the bound is divided by 1 - discount (from memory, not tested).",
    )
