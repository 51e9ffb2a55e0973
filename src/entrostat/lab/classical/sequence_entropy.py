"""A policy over short sequences, small enough to list every sequence: expectations without sampling."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.losses import SequenceEstimator, sequence_entropy, sequence_entropy_surrogate


class Sequences(NamedTuple):
    """Every sequence of a tree policy: `[N, T]` each, `N = K^T`, differentiable in the logits."""

    logprobs: Tensor
    entropy: Tensor

    @property
    def probabilities(self) -> Tensor:
        """`[N]`, without gradient."""
        return self.logprobs.detach().sum(-1).exp()


def random_tree(tokens: int, length: int, *, scale: float, generator: torch.Generator) -> list[Tensor]:
    """Draw the logits of a tree policy: one `[K^t, K]` table for each depth t, with gradient.

    Raises:
        ValueError: fewer than two tokens, or no position.

    Example:
        >>> [table.shape[0] for table in random_tree(3, 3, scale=1.0, generator=torch.Generator())]
        [1, 3, 9]
    """
    require_count("tokens", tokens, least=2, remedy="With one token there is nothing to choose.")
    require_count("length", length, least=1)
    shapes = [(tokens**depth, tokens) for depth in range(length)]
    return [(scale * torch.randn(s, generator=generator, dtype=torch.float64)).requires_grad_() for s in shapes]


def every_sequence(tables: Sequence[Tensor]) -> Sequences:
    """List all sequences with the log-prob of each token and the entropy of the distribution it came from.

    Args:
        tables: one `[K^t, K]` table of logits per depth; row r of depth t belongs to the prefix that spells r in base
            K. `-inf` bans a token.

    Example:
        >>> listed = every_sequence([torch.zeros(1, 2), torch.zeros(2, 2)])
        >>> listed.probabilities
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    require(len(tables) > 0, "tables", "hold a table for each position", len(tables))
    tokens = tables[0].shape[-1]
    words = torch.tensor(list(itertools.product(range(tokens), repeat=len(tables))))
    prefix = torch.zeros(len(words), dtype=torch.long)
    logprobs: list[Tensor] = []
    entropy: list[Tensor] = []
    for table, choice in zip(tables, words.T, strict=True):
        log_p = table.log_softmax(-1)
        node_entropy = -(log_p.exp() * log_p.nan_to_num(neginf=0.0)).sum(-1)
        logprobs.append(log_p[prefix, choice])
        entropy.append(node_entropy[prefix])
        prefix = prefix * tokens + choice
    return Sequences(torch.stack(logprobs, -1), torch.stack(entropy, -1))


def gradient_per_sequence(surrogate: Callable[[Sequences], Tensor], tables: Sequence[Tensor]) -> Tensor:
    """Gradient of each sequence's summed surrogate in all logits: `[N, P]`, one row per sequence."""
    totals = surrogate(every_sequence(tables)).sum(-1)
    grads = torch.autograd.grad(totals, list(tables), torch.eye(len(totals), dtype=totals.dtype), is_grads_batched=True)
    return torch.cat([grad.flatten(1) for grad in grads], dim=-1)


# [58] The smoothed estimate of a sequence's entropy: same mean as the crude one, usually less variance.


def _random_policy(seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return random_tree(3, 3, scale=0.3 + 2.7 * float(torch.rand((), generator=rng)), generator=rng)


def variances(seed: int) -> tuple[float, float, float]:
    """Return the variances of the crude and the smoothed estimate and the difference of their means."""
    listed = every_sequence(_random_policy(seed))
    crude, crude_mean = _moments(listed, "crude")
    smoothed, smoothed_mean = _moments(listed, "smoothed")
    return crude, smoothed, abs(crude_mean - smoothed_mean)


def counter_example() -> tuple[float, float]:
    """Variances, crude then smoothed, on p = {0: 1/3, (1, a): 1/3, (1, b): 1/3}: here the smoothed one varies more."""
    never = -math.inf
    first = torch.tensor([[1 / 3, 2 / 3]], dtype=torch.float64).log()
    second = torch.tensor([[0.0, never], [0.0, 0.0]], dtype=torch.float64)
    listed = every_sequence([first, second])
    return _moments(listed, "crude")[0], _moments(listed, "smoothed")[0]


def _moments(listed: Sequences, estimator: SequenceEstimator) -> tuple[float, float]:
    p = listed.probabilities
    # A sequence of probability 0 has an infinite surprisal and no weight.
    logprobs = torch.where(p[:, None] > 0, listed.logprobs, 0)
    value = sequence_entropy(logprobs, listed.entropy, torch.ones_like(logprobs), estimator=estimator)
    mean = (p * value).sum()
    return float((p * (value - mean).square()).sum()), float(mean)


@claim("classical", source="[58] Zhang et al. 2018, arXiv 1806.00589 (main text read)")
def classical_sequence_entropy(quick: bool) -> Outcome:
    """The smoothed and the crude estimate of a sequence's entropy have the same mean; the smoothed one usually, but not
    always, varies less.
    """
    # Run it on random policies over three tokens and three positions.
    seeds = tuple(range(60 if quick else 300))
    runs = [variances(seed) for seed in seeds]
    ratios = torch.tensor([smoothed / crude for crude, smoothed, _ in runs])
    worst_crude, worst_smoothed = counter_example()
    unbiased = max(gap for *_, gap in runs)
    holds = unbiased < 1e-12 and ratios.median() < 0.1 and worst_smoothed > 0.1 > 1e-12 > worst_crude
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "largest difference of the two means": unbiased,
            "variance ratio smoothed/crude, median": float(ratios.median()),
            "variance ratio, largest": float(ratios.max()),
            "policies with ratio above 1": int((ratios > 1).sum()),
            "counter-example: crude variance": worst_crude,
            "counter-example: smoothed variance": worst_smoothed,
        },
        seeds=seeds,
        plots=(
            Plot(
                title="Variance of two estimates of the same entropy",
                x_label="variance, crude (nats²)",
                y_label="variance, smoothed (nats²)",
                series=(Series(name="policies", x=[r[0] for r in runs], y=[r[1] for r in runs], points=True),),
                log_x=True,
                log_y=True,
            ),
        ),
        remarks=(
            "All 27 sequences of each random policy are enumerated, so nothing here is sampled. Less variance is the "
            "rule, not a theorem: in the counter-example the crude estimate is constant and the smoothed one is not."
        ),
    )


# [58] Which estimators of sequence entropy may be differentiated, and the cost of the common shortcut.


class GradientErrors(NamedTuple):
    """The errors for one random policy; vectors are compared by their norm."""

    crude: float
    unbiased: float
    shortcut: float
    naive: float
    variance_ratio: float


def measure(seed: int) -> GradientErrors:
    """Compare expected gradients with the gradient of the exact entropy, over all sequences of a random policy."""
    tables = _random_policy(seed)
    p = every_sequence(tables).probabilities
    exact = exact_gradient(tables)
    rows = {name: gradient_per_sequence(functools.partial(_surrogate, name), tables) for name in ESTIMATORS}
    naive = gradient_per_sequence(lambda listed: -listed.logprobs, tables)
    bias = {name: float((p @ row - exact).norm() / exact.norm()) for name, row in rows.items()}
    spread = {name: float(p @ (row - exact).square().sum(-1)) for name, row in rows.items()}
    return GradientErrors(
        crude=bias["crude"],
        unbiased=bias["smoothed_unbiased"],
        shortcut=bias["smoothed"],
        naive=float((p @ naive).norm()),
        variance_ratio=spread["smoothed_unbiased"] / spread["crude"],
    )


ESTIMATORS: tuple[SequenceEstimator, ...] = ("crude", "smoothed", "smoothed_unbiased")


def exact_gradient(tables: list[Tensor]) -> Tensor:
    """Gradient of H = -sum_a p(a) log p(a) in all logits, by differentiating the sum itself."""
    logp = every_sequence(tables).logprobs.sum(-1)
    grads = torch.autograd.grad(-(logp.exp() * logp).sum(), tables)
    return torch.cat([grad.flatten() for grad in grads])


def _surrogate(estimator: SequenceEstimator, listed: Sequences) -> Tensor:
    mask = torch.ones_like(listed.logprobs)
    return sequence_entropy_surrogate(listed.logprobs, listed.entropy, mask, estimator=estimator)


@claim("classical", source="[58] Zhang et al. 2018, arXiv 1806.00589 (main text read)")
def classical_sequence_gradient(quick: bool) -> Outcome:
    """The score-function and the corrected smoothed gradient of the sequence entropy are unbiased; differentiating the
    summed token entropies alone is not, and differentiating -log p of sampled tokens does nothing on average.
    """
    # Run it on random policies over three tokens and three positions.
    seeds = tuple(range(8 if quick else 200))
    errors = [measure(seed) for seed in seeds]
    worst = {field: max(getattr(e, field) for e in errors) for field in ("crude", "unbiased", "naive")}
    shortcut = torch.tensor([e.shortcut for e in errors]).median()
    ratio = torch.tensor([e.variance_ratio for e in errors]).median()
    holds = max(worst.values()) < 1e-9 and shortcut > 0.1 and ratio < 0.5
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "crude score-function gradient: largest relative bias": worst["crude"],
            "smoothed with prefix term: largest relative bias": worst["unbiased"],
            "smoothed without prefix term: median relative bias": float(shortcut),
            "back-propagating -log p of samples: largest expected gradient": worst["naive"],
            "variance of the smoothed gradient over the crude one's, median": float(ratio),
        },
        seeds=seeds,
        remarks=(
            "Expectations are exact sums over 27 sequences. The entropy loss in common use (entropies of each token's "
            "distribution) is the one without the prefix term."
        ),
    )
