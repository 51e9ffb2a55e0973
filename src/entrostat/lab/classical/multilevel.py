"""Multilevel Monte Carlo: an unbiased log-mean-exp, and soft values from a simulator by nested differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import END, MDP, dense_mdp, soft_value_iteration


# L_k = log-mean-exp of k draws is biased low: E L_k = L - Var/(2 k m^2) + ...   (m the mean of the exponentials)
# Telescope over doublings:  L = E L_1 + sum_n E D_n,    D_n = L_{2^{n+1}} - (L_first half + L_second half) / 2,
# since both halves have the law of L_{2^n}. One random term, weighted by its rarity, has the sum's mean:
#     x_1 + D_N / P(N),   P(N = n) = p (1-p)^n
# E D_n^2 ~ 4^-n, and a draw of level n costs 2^{n+1}: variance and cost are finite for 1/4 < 1 - p < 1/2.
def log_mean_exp(values: Tensor) -> Tensor:
    """Return `log mean exp` over the last dimension; of K random draws, biased low by about `Var / (2 K mean^2)`.

    Example:
        >>> float(log_mean_exp(torch.zeros(8)))
        0.0
    """
    return values.logsumexp(-1) - math.log(values.shape[-1])


def antithetic_difference(values: Tensor) -> Tensor:
    """Return `L(all) - (L(first half) + L(second half)) / 2` over the last dimension; never negative.

    Raises:
        ValueError: an odd or empty group.

    Example:
        >>> float(antithetic_difference(torch.zeros(4)))
        0.0
    """
    size = values.shape[-1]
    require(size >= 2 and size % 2 == 0, "values", "have an even number of draws in the last dimension", size)
    first, second = values.split(size // 2, dim=-1)
    return log_mean_exp(values) - (log_mean_exp(first) + log_mean_exp(second)) / 2


def draw_group_size(shape: tuple[int, ...] = (), *, success: float = 0.65, generator: torch.Generator) -> Tensor:
    """Draw how many samples `blanchet_glynn` is to be given: `2^(N+1)` with `P(N = n) = p (1-p)^n`.

    Args:
        shape: of the result.
        success: p, in (1/2, 3/4); the mean size is `2 p / (2 p - 1)`, 4.33 at 0.65.
        generator: source of randomness.

    Returns:
        int64, powers of two from 2 on.

    Example:
        >>> sizes = draw_group_size((1000,), generator=torch.Generator().manual_seed(0))
        >>> int(sizes.min())
        2
    """
    _check_success(success)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    level = (torch.log1p(-uniform) / math.log1p(-success)).floor().long()
    return 2 ** (level + 1)


def blanchet_glynn(values: Tensor, *, success: float = 0.65) -> Tensor:
    """Unbiased estimate of `log E exp(x)` from a group whose size was drawn by `draw_group_size`.

        x_1 + D_N / (p (1-p)^N)          group size 2^(N+1)

    For a language model: with `x = reward / beta` of rollouts of the reference policy, `beta` times it is an unbiased
    soft value of the prompt, where a fixed group is biased low.

    Args:
        values: `[..., 2^(N+1)]`, independent draws.
        success: the p that the size was drawn with.

    Returns:
        `[...]`.

    Raises:
        ValueError: a size that is no power of two, or `success` outside (1/2, 3/4), where cost or variance is infinite.

    Reference:
        Blanchet and Glynn, "Unbiased Monte Carlo for optimization and functions of expectations via multi-level
        randomization", 2015; as a Bellman operator: Meunier, Reisinger, Zhang, arXiv 2503.21224.

    Example:
        >>> float(blanchet_glynn(torch.ones(8)))  # draws without spread are their own log-mean-exp
        1.0
    """
    _check_success(success)
    size = values.shape[-1]
    level = size.bit_length() - 2
    require(size == 2 ** (level + 1) and level >= 0, "values", "hold a power of two of at least 2 draws", size)
    return values[..., 0] + antithetic_difference(values) / (success * (1 - success) ** level)


def _check_success(success: float) -> None:
    rule = "lie strictly between 1/2 and 3/4"
    require(0.5 < require_finite("success", success) < 0.75, "success", rule, success, "0.65 is the usual choice.")


class Nested(NamedTuple):
    """The result of a nested estimate."""

    values: Tensor
    """`[N]`, estimates of Q, one for each state-action pair asked for."""
    calls: int
    """Draws from the simulator, all pairs together."""


@dataclass(frozen=True, kw_only=True)
class Multilevel:
    """Soft Q-values from a simulator alone, by a recursion of differences between successive Bellman iterates.

        Q_n = r + sum_{l<n} (discount / m_l) sum_i [ F(Q_l)(s'_i) - 1{l>0} F(Q_{l-1})(s'_i) ]
        F(Q)(s') = tau log E_{a ~ uniform} exp(Q(s', a) / tau)

    Both terms of a difference share the next state and the drawn actions, and every Q in it is a recursive call of its
    own. Deep levels differ little, so they need few samples: `m_l = M^(n-l-1)`, `m_0 = M^n`. The paper was not
    available beyond its abstract: this recursion is a reconstruction, and says nothing on the paper's rates.

    Args:
        levels: n, Bellman iterates; 0 gives Q = 0.
        branching: M.
        draws: K actions in a biased log-mean-exp; None uses the unbiased randomised one.
        temperature: tau, positive.
        success: p of the randomised group size.

    Raises:
        ValueError: a setting outside its range.

    Reference:
        Meunier, Reisinger, Zhang, arXiv 2503.21224 (abstract).
    """

    levels: int
    branching: int = 3
    draws: int | None = 4
    temperature: float = 1.0
    success: float = 0.65

    def __post_init__(self) -> None:
        require_count("levels", self.levels)
        require_count("branching", self.branching, least=1)
        if self.draws is not None:
            require_count("draws", self.draws, least=1)
        require(require_finite("temperature", self.temperature) > 0, "temperature", "be positive", self.temperature)
        _check_success(self.success)

    def estimate(self, mdp: MDP, states: Tensor, actions: Tensor, *, generator: torch.Generator) -> Nested:
        """Estimate Q at the pairs `(states, actions)`, `[N]` each, independently of one another."""
        remedy = "The recursion has no end of episode."
        require(bool((mdp.successors[mdp.chances > 0] != END).all()), "mdp", "go on forever", "END", remedy)
        return self._level(self.levels, mdp, states, actions, generator)

    def _level(self, n: int, mdp: MDP, states: Tensor, actions: Tensor, rng: torch.Generator) -> Nested:
        if n == 0:
            return Nested(torch.zeros(len(states), dtype=torch.float64), 0)
        total, calls = mdp.rewards[states, actions], 0
        for level in range(n):
            samples = self.branching**n if level == 0 else self.branching ** (n - level - 1)
            chosen = torch.multinomial(mdp.chances[states, actions], samples, replacement=True, generator=rng)
            after = mdp.successors[states, actions].gather(-1, chosen)
            part = self._difference(level, mdp, after.flatten(), rng)
            total = total + mdp.discount * part.values.view(len(states), samples).mean(-1)
            calls += after.numel() + part.calls
        return Nested(total, calls)

    def _difference(self, level: int, mdp: MDP, states: Tensor, rng: torch.Generator) -> Nested:
        sizes = (
            draw_group_size(tuple(states.shape), success=self.success, generator=rng)
            if self.draws is None
            else torch.full(states.shape, self.draws)
        )
        values, calls = torch.zeros(len(states), dtype=torch.float64), 0
        for size in sizes.unique().tolist():
            here = sizes == size
            chosen = torch.randint(mdp.actions, (int(here.sum()), size), generator=rng)
            pair = states[here].repeat_interleave(size), chosen.flatten()
            for depth, sign in ((level, 1.0), (level - 1, -1.0)):
                if depth >= 0:
                    q, made = self._level(depth, mdp, *pair, rng)
                    values[here] += sign * self.temperature * self._operator(q.view(-1, size) / self.temperature)
                    calls += made
        return Nested(values, calls)

    @property
    def _operator(self) -> Callable[[Tensor], Tensor]:
        return log_mean_exp if self.draws is not None else lambda x: blanchet_glynn(x, success=self.success)


# [54] The log-mean-exp of K draws is biased low; the randomised antithetic split removes the bias.

VALUES = torch.tensor([0.0, 1.0, 3.0, -1.0], dtype=torch.float64)
TRUTH = float(log_mean_exp(VALUES))


def plain_bias(draws: int, *, repetitions: int, rng: torch.Generator) -> float:
    """Return the mean error of the log-mean-exp of `draws` uniform draws."""
    return float(log_mean_exp(_draw((repetitions, draws), rng)).mean()) - TRUTH


def randomised(repetitions: int, rng: torch.Generator) -> tuple[Tensor, float]:
    """Return unbiased estimates `[repetitions]` and the mean number of draws of each."""
    sizes = draw_group_size((repetitions,), generator=rng)
    groups = [blanchet_glynn(_draw((int((sizes == s).sum()), s), rng)) for s in sizes.unique().tolist()]
    return torch.cat(groups), float(sizes.double().mean())


def _draw(shape: tuple[int, int], rng: torch.Generator) -> Tensor:
    return VALUES[torch.randint(len(VALUES), shape, generator=rng)]


@claim(
    "classical", source="[54] Blanchet and Glynn 2015; Meunier, Reisinger, Zhang 2025, arXiv 2503.21224 (abstract only)"
)
def classical_log_mean_exp(quick: bool) -> Outcome:
    """The log-mean-exp of K draws is biased low, roughly as 1/K; the Blanchet-Glynn randomised split of a mean of 4.3
    draws has no bias.
    """
    # Measure both biases on four values drawn uniformly.
    rng = torch.Generator().manual_seed(0)
    repetitions = 40_000 if quick else 400_000
    draws = [2, 4, 8, 16, 32, 64]
    bias = [plain_bias(k, repetitions=repetitions // 4, rng=rng) for k in draws]
    estimates, cost = randomised(repetitions, rng)
    error = float(estimates.mean()) - TRUTH
    spread = float(estimates.std())
    half = 1.96 * spread / math.sqrt(repetitions)
    low = all(b < 0 for b in bias)
    return Outcome(
        verdict="holds" if low and bias[0] < -0.5 and abs(error) < 1.6 * half else "does not hold",
        figures={
            **{f"bias of {k} draws": b for k, b in zip(draws, bias, strict=True) if k in (2, 4, 16)},
            "bias of the randomised split": error,
            "half-width of its 95 % interval": half,
            "its standard deviation": spread,
            "its mean number of draws": cost,
        },
        seeds=(0,),
        plots=(
            Plot(
                title="Error of an estimated log-mean-exp",
                x_label="draws per estimate (mean number for the randomised split)",
                y_label="bias (nats)",
                series=(
                    Series(name="plain", x=draws, y=bias),
                    Series(name="randomised split", x=[cost], y=[error], low=[error - half], high=[error + half]),
                ),
                log_x=True,
            ),
        ),
        remarks="Uniform draws of (0, 1, 3, -1). Unbiasedness costs variance: the spread of one estimate is large.",
    )


# [54] Nested differences find a soft Q-value from a simulator, at a cost that ignores how large the MDP is.

DISCOUNT = 0.4
REPETITIONS = {1: 4000, 2: 4000, 3: 1200, 4: 200, 5: 40}


def random_mdp(seed: int, *, states: int = 5, actions: int = 4, copies: int = 1) -> MDP:
    """Return an MDP with random rewards and successors; `copies` replicates every state and every action."""
    rng = torch.Generator().manual_seed(seed)
    weights = torch.rand(states, actions, states, generator=rng, dtype=torch.float64).log().neg()
    transitions = (weights / weights.sum(-1, keepdim=True)).repeat(copies, copies, copies) / copies
    rewards = torch.rand(states, actions, generator=rng, dtype=torch.float64).repeat(copies, copies)
    return dense_mdp(rewards=rewards, transitions=transitions, discount=DISCOUNT)


def exact_q(mdp: MDP) -> float:
    """Return Q(0, 0) of the fixed point, with a uniform reference policy."""
    # tau log mean exp = tau log sum exp - tau log A: the soft optimum with every later value lowered by tau log A.
    plain = soft_value_iteration(mdp, coef=1.0)
    return float(plain.q[0, 0]) - mdp.discount * math.log(mdp.actions) / (1 - mdp.discount)


def measure(mdp: MDP, scheme: Multilevel, *, repetitions: int, seed: int) -> tuple[float, float, float]:
    """Return the root mean square error at (0, 0), its mean error, and simulator calls per estimate."""
    pairs = torch.zeros(repetitions, dtype=torch.long)
    nested = scheme.estimate(mdp, pairs, pairs, generator=torch.Generator().manual_seed(seed))
    error = nested.values - exact_q(mdp)
    return float(error.square().mean().sqrt()), float(error.mean()), nested.calls / repetitions


def cost_exponent(runs: list[tuple[float, float, float]]) -> float:
    """Return k of the fit `calls ~ error^-k` through runs of `measure`, errors as the abscissa."""
    error, calls = (torch.tensor([run[part] for run in runs], dtype=torch.float64).log() for part in (0, 2))
    error = error - error.mean()
    return -float((error * calls).sum() / error.square().sum())


@claim(
    "classical", source="[54] Meunier, Reisinger, Zhang 2025, arXiv 2503.21224 (abstract only; algorithm reconstructed)"
)
def classical_multilevel(quick: bool) -> Outcome:
    """Nested multilevel differences find an entropy-regularised Q-value from a simulator: the error about halves with
    each level, and replicating states and actions changes neither error nor cost.
    """
    # Deepen the recursion; then replicate states and actions.
    mdp, levels = random_mdp(0), list(range(2, 5 if quick else 6))
    few = range(2, 4 if quick else 6)
    repetitions = {n: count // (4 if quick else 1) for n, count in REPETITIONS.items()}
    runs, unbiased, eight = (
        [measure(mdp, Multilevel(levels=n, draws=k), repetitions=repetitions[n], seed=n) for n in depths]
        for k, depths in ((4, levels), (None, few), (8, few))
    )
    rmse, calls = [r[0] for r in runs], [r[2] for r in runs]
    large = measure(random_mdp(0, copies=5), Multilevel(levels=3), repetitions=repetitions[3], seed=9)
    halves = all(b < 0.75 * a for a, b in itertools.pairwise(rmse))
    same_cost = large[2] == calls[1] and abs(large[0] / rmse[1] - 1) < 0.35
    return Outcome(
        verdict="holds" if halves and same_cost else "does not hold",
        figures={
            **{f"RMSE at {n} levels": x for n, x in zip(levels, rmse, strict=True)},
            **{f"simulator calls at {n} levels": c for n, c in zip(levels, calls, strict=True)},
            "exponent of the cost in 1/error, K = 4": cost_exponent(runs),
            "the same, K = 8": cost_exponent(eight),
            "the same, unbiased operator": cost_exponent(unbiased),
            "RMSE with 25 states and 20 actions instead of 5 and 4, 3 levels": large[0],
        },
        seeds=(0,),
        plots=(
            Plot(
                title="Error of a soft Q-value from a simulator",
                x_label="simulator calls",
                y_label="root mean square error",
                series=(Series(name="nested differences, K = 4", x=calls, y=rmse),),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks=(
            "A reconstruction from the abstract. At these sizes the cost grows like error to the power of about -3; "
            "a rate of -2 is neither claimed by what could be read nor seen here."
        ),
    )
