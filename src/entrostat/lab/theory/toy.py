"""The toy of the paper's first figure, reconstructed: 25 prompts, one token each, very many tokens, few of them right.

    p_0(a) ~ rank(a)^(-peak)            the policy before training: Zipf over the ranks of the tokens
    J = E[reward] + coef * H            reward 1 for a right token, else 0; H the entropy of all or of the kept tokens

A prompt's right tokens stand side by side in the ranking, from a rank on that is drawn per prompt: log-uniformly over
all ranks where the ranking is informed, uniformly where it is not. One step draws `samples` tokens per prompt and takes
one Adam step. Each unknown of the original is a setting here, so that its weight can be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_choice, require_count, require_finite

# Tokens that start equal and never pay stay equal for ever: their gradients are the same. With `levels` the Zipf law
# has steps, and each level of equal tokens is one column with a multiplicity. That is exact, and its cost does not
# depend on the number of tokens. With `levels=0` every token is a column of its own.
#
# Letters: P prompts, A tokens, N right tokens, K columns, F features. float32, in place.

Method = Literal["none", "entropy", "clamped"]

METHODS: tuple[Method, ...] = ("none", "entropy", "clamped")

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-15


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A toy problem and how it is trained.

    Args:
        actions: A.
        optimal: right tokens per prompt.
        prompts: P; the reward moves in steps of 1/P.
        steps: optimizer steps.
        samples: tokens drawn per prompt and step; 0 uses the exact gradient.
        rate: Adam's step size.
        shared_scale: whether Adam divides a prompt's gradient by one scale, its largest, instead of each logit's own.
        coef: lambda of the bonus.
        clamp: share of the tokens the clamped bonus leaves out.
        peak: exponent of the Zipf law before training; 0 is a uniform policy.
        informed: whether the ranking knows something: right tokens at log-uniform instead of uniform ranks.
        features: 0 for free logits per prompt, else how many random features the prompts share.
        trap: reward of each prompt's likeliest token before training, if that is not right anyway.
        refresh: steps between two choices of the kept tokens.
        levels: steps of the Zipf law, at most; 0 gives every token a column of its own.
    """

    actions: int
    optimal: int
    prompts: int = 25
    steps: int = 400
    samples: int = 20
    rate: float = 0.1
    shared_scale: bool = False
    coef: float = 0.02
    clamp: float = 0.98
    peak: float = 2.0
    informed: bool = True
    features: int = 0
    trap: float = 0.0
    refresh: int = 5
    levels: int = 100

    def __post_init__(self) -> None:
        require_count("actions", self.actions, least=2, remedy="With one action there is nothing to learn.")
        require_count("optimal", self.optimal, least=1, remedy="Without an optimal action there is nothing to find.")
        require(self.optimal < self.actions, "optimal", "be below the number of actions", self.optimal)
        for name in ("prompts", "steps", "refresh"):
            require_count(name, getattr(self, name), least=1)
        require_count("samples", self.samples)
        require_count("features", self.features)
        require_count("levels", self.levels)
        shares = not (self.features and self.levels)
        require(shares, "levels", "be 0 where prompts share features", self.levels, "A token's name matters there.")
        require(require_finite("coef", self.coef) > 0, "coef", "be positive", self.coef, 'Use the method "none".')
        require(require_finite("rate", self.rate) > 0, "rate", "be positive", self.rate)
        require(0 <= self.clamp < 1, "clamp", "lie in [0, 1)", self.clamp)
        require(require_finite("peak", self.peak) >= 0, "peak", "be at least 0", self.peak)
        require(0 <= self.trap < 1, "trap", "lie in [0, 1)", self.trap, "A trap pays less than a right token.")


class Curve(NamedTuple):
    """One run, with one entry per step."""

    reward: Tensor
    """Expected reward of the policy, mean over prompts, `[steps]`."""
    entropy: Tensor
    """Mean over prompts, in nats, `[steps]`."""
    solved: Tensor
    """`[P]`: probability of a right token at the end."""
    ranks: Tensor
    """`[P]`: rank of the first right token before training; 1 is the likeliest."""


class _Problem(NamedTuple):
    prior: Tensor  # [P, K]
    tokens: Tensor  # [P, K] tokens per column
    paying: Tensor  # [P, N + 1] columns of the right tokens, then of the trap
    pay: Tensor  # [P, N + 1] their rewards
    ranks: Tensor  # [P]


def run_toy(toy: Toy, method: Method, seed: int) -> Curve:
    """Train one policy and return its curve; the same seed gives every method the same problem."""
    return run_toys(toy, method, [seed])[0]


def run_toys(toy: Toy, method: Method, seeds: Sequence[int]) -> list[Curve]:
    """Train one policy per seed; with levels side by side, which costs little more than one alone."""
    require_choice("method", method, Method)
    require(len(seeds) > 0, "seeds", "name at least one seed", list(seeds))
    if toy.levels:
        return _run(toy, method, seeds)
    return [curve for seed in seeds for curve in _run(toy, method, [seed])]


def _run(toy: Toy, method: Method, seeds: Sequence[int]) -> list[Curve]:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    problems = [toy_problem(toy, generator) for generator in generators]
    whole = _Problem(*(torch.cat(fields) for fields in zip(*problems, strict=True)))
    features = None
    if toy.features:
        features = torch.randn(toy.prompts, toy.features, generator=generators[0]) / math.sqrt(toy.features)
    # Prompts that share nothing can be trained one after the other: their long rows then stay in the cache.
    together = toy.levels or toy.features
    rows = len(whole.prior) if together else max(1, 2**17 // whole.prior.shape[1])
    splits = zip(*(field.split(rows) for field in whole), strict=True)
    parts = [_train(toy, method, _Problem(*split), features, generators) for split in splits]
    rewards, entropies, solved = (
        torch.cat(field, -1).unflatten(-1, (len(seeds), -1)) for field in zip(*parts, strict=True)
    )
    return [
        Curve(rewards[:, i].mean(-1), entropies[:, i].mean(-1), solved[i], problem.ranks)
        for i, problem in enumerate(problems)
    ]


def toy_problem(toy: Toy, generator: torch.Generator) -> _Problem:
    """Draw where each prompt's right tokens stand and lay out the columns."""
    last = toy.actions - toy.optimal + 1
    # One draw in each of P equal strata: difficulty is spread the same way under every seed.
    u = (torch.randperm(toy.prompts, generator=generator) + torch.rand(toy.prompts, generator=generator)) / toy.prompts
    ranks = (last**u if toy.informed else 1 + u * (last - 1)).long().clamp(1, last)
    pay = torch.ones(toy.prompts, toy.optimal + 1)
    pay[:, -1] = torch.where(ranks == 1, 0.0, toy.trap)  # a right token is no trap
    places = torch.cat([ranks.unsqueeze(-1) - 1 + torch.arange(toy.optimal), torch.zeros(toy.prompts, 1).long()], -1)
    if toy.levels:
        return _lumped(toy, places, pay, ranks)
    prior = (-toy.peak * torch.arange(1, toy.actions + 1).log()).expand(toy.prompts, -1)
    names = torch.arange(toy.actions).expand(toy.prompts, -1)
    if toy.features:  # only there does it matter which token of one prompt is which of another
        names = torch.rand(prior.shape, generator=generator).argsort(-1)
    prior = torch.empty_like(prior).scatter_(-1, names, prior)
    return _Problem(prior, torch.ones(1, 1).expand_as(prior), names.gather(-1, places), pay, ranks)


def _lumped(toy: Toy, places: Tensor, pay: Tensor, ranks: Tensor) -> _Problem:
    # Columns: the paying tokens one by one, then the levels without them.
    edges = (toy.actions ** torch.linspace(0, 1, toy.levels + 1, dtype=torch.float64)).round().long().unique()
    first = torch.cat([edges[:-1], edges[-1:] + 1])  # level i holds the ranks first[i] .. first[i + 1] - 1
    law = -toy.peak * (first[:-1] * (first[1:] - 1)).double().sqrt().log().float()
    level = torch.bucketize(places + 1, first, right=True) - 1
    paying = torch.arange(places.shape[1]).expand_as(places).clone()
    twice = ranks == 1  # the trap's place is the first right token's: one column stays empty
    paying[twice, -1] = 0
    single = torch.ones(places.shape)
    single[twice, -1] = 0
    taken = torch.zeros(toy.prompts, len(law)).scatter_add_(-1, level, single)
    prior = torch.cat([law[level], law.expand(toy.prompts, -1)], -1)
    return _Problem(prior, torch.cat([single, (first[1:] - first[:-1]) - taken], -1), paying, pay, ranks)


def _train(
    toy: Toy, method: Method, problem: _Problem, features: Tensor | None, generators: Sequence[torch.Generator]
) -> tuple[Tensor, Tensor, Tensor]:
    # Returns reward and entropy, [steps, P], and the final probability of a right token, [P].
    logits = problem.prior.clone()
    adam = _Adam(toy, logits, features)
    rewards, entropies = torch.empty(2, toy.steps, len(logits))
    shift = (logits + problem.tokens.log()).logsumexp(-1, keepdim=True)
    kept = problem.tokens
    p_paying = torch.empty(0)
    for step in range(toy.steps):
        # With u = z - shift, e = exp(u), n = sum e and c = sum e u / n over tokens: p = e / n, H = log n - c and
        # log p + H = u - c. The last step's normaliser is shift enough: one step moves no logit far.
        u = logits - shift
        e = u.exp()
        n, c = _moments(u, e, problem.tokens)
        shift = shift + n.log()
        p_paying = e.gather(-1, problem.paying) / n
        rewards[step] = (p_paying * problem.pay).sum(-1)
        entropies[step] = (n.log() - c).squeeze(-1)
        weights = _weights(toy, problem, p_paying, generators)
        if method == "clamped" and step % toy.refresh == 0:
            kept = _kept(u, problem.tokens, toy)
        ascent = u.zero_() if method == "none" else _bonus(u, e, kept, problem.tokens).mul_(toy.coef)
        total = weights.sum(-1, keepdim=True) / n
        if bool(total.any()):
            ascent.addcmul_(e, total, value=-1).scatter_add_(-1, problem.paying, weights)
        adam.step(logits, ascent)
    return rewards, entropies, p_paying[:, :-1].sum(-1)


def _moments(u: Tensor, e: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    weighted = e * count
    n = weighted.sum(-1, keepdim=True)
    return n, torch.linalg.vecdot(weighted, u).unsqueeze(-1) / n


def _bonus(u: Tensor, e: Tensor, kept: Tensor, count: Tensor) -> Tensor:
    # dH~/dz_a = -q_a (log q_a + H~) on the kept tokens, 0 elsewhere; q is p renormalised there. Of a column kept in
    # part it is the mean over which of its equal tokens are. With all kept it is the full bonus.
    n, c = _moments(u, e, kept)
    return (c - u).mul_(e).mul_(kept / count.clamp(min=1) / n)


def _kept(u: Tensor, count: Tensor, toy: Toy) -> Tensor:
    # How many tokens of each column are among the likeliest (1 - clamp) A.
    size = toy.actions - int(toy.clamp * toy.actions)
    if not toy.levels:
        return torch.zeros_like(u).scatter_(-1, u.topk(size, dim=-1, sorted=False).indices, 1)
    order = u.argsort(dim=-1, descending=True)
    ordered = count.gather(-1, order)
    room = size - (ordered.cumsum(-1) - ordered)
    return torch.zeros_like(u).scatter_(-1, order, torch.minimum(room.clamp(min=0), ordered))


def _weights(toy: Toy, problem: _Problem, p_paying: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    # d E[r]/dz = sum_a w_a (e_a - p) with w_a = p_a r_a, or its estimate (times drawn / samples) r_a. No baseline: a
    # draw that pays nothing moves nothing, so that only the paying tokens have to be drawn.
    if not toy.samples:
        return p_paying * problem.pay
    chances = p_paying * (problem.pay > 0)
    share = len(chances) // len(generators)  # rows of each generator's seed
    u = torch.cat([torch.rand(share, toy.samples, generator=generator) for generator in generators])
    drawn = torch.searchsorted(chances.cumsum(-1), u, right=True)  # one past the last where nothing pays
    counts = torch.zeros(len(drawn), chances.shape[-1] + 1).scatter_add_(-1, drawn, torch.ones(drawn.shape))
    return counts[:, :-1] * problem.pay / toy.samples


class _Adam:
    # Ascent, in place, on the logits [P, A] themselves or on weights [F, A] with logits = prior + features @ weights.
    def __init__(self, toy: Toy, logits: Tensor, features: Tensor | None) -> None:
        self._rate, self._shared, self._features, self._steps = toy.rate, toy.shared_scale, features, 0
        shape = logits.shape if features is None else (features.shape[1], logits.shape[1])
        self._first, self._second = torch.zeros(shape), torch.zeros(shape)

    def step(self, logits: Tensor, ascent: Tensor) -> None:
        ascent = ascent if self._features is None else self._features.T @ ascent
        self._steps += 1
        self._first.lerp_(ascent, 1 - _BETA1)
        self._second.mul_(_BETA2).addcmul_(ascent, ascent, value=1 - _BETA2)
        scale = math.sqrt(1 - _BETA2**self._steps)
        root = self._second.sqrt().add_(_EPS)
        if self._shared:
            root = root.amax(-1, keepdim=True)
        rate = self._rate * scale / (1 - _BETA1**self._steps)
        if self._features is None:
            logits.addcdiv_(self._first, root.expand_as(logits), value=rate)
        else:
            logits.addmm_(self._features, self._first / root, alpha=rate)
