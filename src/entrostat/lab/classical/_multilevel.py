"""Multilevel Monte Carlo: an unbiased log-mean-exp, and soft values from a simulator by nested differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._mdp import END, MDP

# L_k = log-mean-exp of k draws is biased low: E L_k = L - Var/(2 k m^2) + ...   (m the mean of the exponentials)
# Telescope over doublings:  L = E L_1 + sum_n E D_n,    D_n = L_{2^{n+1}} - (L_first half + L_second half) / 2,
# since both halves have the law of L_{2^n}. One random term, weighted by its rarity, has the sum's mean:
#     x_1 + D_N / P(N),   P(N = n) = p (1-p)^n
# E D_n^2 ~ 4^-n, and a draw of level n costs 2^{n+1}: variance and cost are finite for 1/4 < 1 - p < 1/2.


def log_mean_exp(values: Tensor) -> Tensor:
    """Return `log mean exp` over the last dimension; of K random draws, biased low by about `Var / (2 K mean^2)`.

    Example:
        >>> import torch
        >>> float(log_mean_exp(torch.zeros(8)))
        0.0
    """
    return values.logsumexp(-1) - math.log(values.shape[-1])


def antithetic_difference(values: Tensor) -> Tensor:
    """Return `L(all) - (L(first half) + L(second half)) / 2` over the last dimension; never negative.

    Raises:
        ValueError: an odd or empty group.

    Example:
        >>> import torch
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
        >>> import torch
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
        >>> import torch
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
    """What a nested estimate returned."""

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
            after = _next_states(mdp, states, actions, samples, rng)
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


def _next_states(mdp: MDP, states: Tensor, actions: Tensor, samples: int, rng: torch.Generator) -> Tensor:
    chosen = torch.multinomial(mdp.chances[states, actions], samples, replacement=True, generator=rng)
    return mdp.successors[states, actions].gather(-1, chosen)
