"""[58] Which estimators of sequence entropy may be differentiated, and what the common shortcut costs."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, main
from entrostat.lab.classical import (
    Sequences,
    every_sequence,
    gradient_per_sequence,
    random_tree,
)
from entrostat.losses import SequenceEstimator, sequence_entropy_surrogate


class GradientErrors(NamedTuple):
    """What one random policy showed; vectors are compared by their norm."""

    crude: float
    unbiased: float
    shortcut: float
    naive: float
    variance_ratio: float


def measure(seed: int) -> GradientErrors:
    """Compare expected gradients with the gradient of the exact entropy, over all sequences of a random policy."""
    rng = torch.Generator().manual_seed(seed)
    tables = random_tree(3, 3, scale=0.3 + 2.7 * float(torch.rand((), generator=rng)), generator=rng)
    p = every_sequence(tables).probabilities
    exact = exact_gradient(tables)
    rows = {name: gradient_per_sequence(_surrogate(name), tables) for name in ESTIMATORS}
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


def _surrogate(estimator: SequenceEstimator):
    def surrogate(listed: Sequences) -> Tensor:
        mask = torch.ones_like(listed.logprobs)
        return sequence_entropy_surrogate(listed.logprobs, listed.entropy, mask, estimator=estimator)

    return surrogate


def check(quick: bool) -> Outcome:
    """Run it on random policies over three tokens and three positions."""
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


CLAIM = Claim(
    name="classical_sequence_gradient",
    statement=(
        "The score-function and the corrected smoothed gradient of the sequence entropy are unbiased; differentiating "
        "the summed token entropies alone is not, and differentiating -log p of sampled tokens does nothing on average."
    ),
    source="[58] Zhang et al. 2018, arXiv 1806.00589 (main text read)",
    check=check,
    topic="classical",
)

if __name__ == "__main__":
    main(CLAIM)
