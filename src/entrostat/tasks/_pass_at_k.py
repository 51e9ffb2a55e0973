"""pass@k: the chance that at least one of k answers is right, estimated without bias from n >= k answers.

With c right answers among n, the k drawn from them without replacement are all wrong with probability
C(n - c, k) / C(n, k), hence

    pass@k = 1 - C(n - c, k) / C(n, k).

The naive 1 - (1 - c/n)^k is biased downwards, since it draws with replacement.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

from entrostat.errors import require, require_count


class PassAtK(NamedTuple):
    """The mean of pass@k over problems and the standard error of that mean (NaN for a single problem)."""

    mean: float
    stderr: float


def pass_at_k(correct: Iterable[int], *, samples: int, k: int) -> PassAtK:
    """Estimate pass@k, averaged over problems.

    Args:
        correct: For each problem, how many of its answers were right.
        samples: How many answers each problem got, n.
        k: How many answers one may try, at most `samples`.

    Returns:
        The mean over problems and its standard error. The error says how far another set of problems might have
        moved the mean; it does not cover another training run.

    Raises:
        TypeError: If a count is not an integer.
        ValueError: If `k` exceeds `samples`, a count lies outside 0..samples, or there are no problems.

    Reference:
        Chen et al. (2021), "Evaluating Large Language Models Trained on Code", equation 1. arXiv:2107.03374.

    Example:
        >>> estimate = pass_at_k([0, 2, 4], samples=4, k=2)
        >>> f"{estimate.mean:.3f} +- {estimate.stderr:.3f}"
        '0.611 +- 0.309'
    """
    require_count("samples", samples, least=1)
    require_count("k", k, least=1)
    require(k <= samples, "k", f"be at most samples={samples}", k, "Draw more samples for a larger k.")
    counts = list(correct)
    require(len(counts) > 0, "correct", "hold at least one problem", counts)
    for c in counts:
        require_count("correct", c)
        require(c <= samples, "correct", f"be at most samples={samples}", c)
    by_count = {c: 1 - math.comb(samples - c, k) / math.comb(samples, k) for c in set(counts)}
    values = [by_count[c] for c in counts]
    stderr = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return PassAtK(statistics.fmean(values), stderr)
