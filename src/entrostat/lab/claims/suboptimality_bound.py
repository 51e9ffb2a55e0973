"""Proposition 1, second part: where the gradient is small the policy is good, by a constant that is hopelessly small.

By the performance difference along one best answer a*_0 .. a*_{H-1} with prefixes s_0 .. s_{H-1}:

    V* - V = sum_h A(s_h, a*_h) = sum_h (dV/dtheta_{s_h,a*_h}) / (P(s_h) pi(a*_h|s_h))
           <= |grad V|_2 / C,        C = H^{-1/2} min_h P(s_h) pi(a*_h|s_h) = H^{-1/2} pi(best answer)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, evaluate_tree, main, tree_logprobs
from entrostat.lab._random_trees import samples, tree_gradient
from entrostat.lab._tree import Levels, PrefixTree


def check(quick: bool) -> Outcome:
    """Try the bound on random trees, and see how much of it the constant leaves."""
    gaps: list[Tensor] = []
    bounds: list[Tensor] = []
    constants: list[Tensor] = []
    for tree, logits in samples(1000 if quick else 20_000, scale=2, seed=0):
        logprobs = tree_logprobs(tree, logits)
        constant = _best_answer_probability(tree, logprobs) / math.sqrt(tree.horizon)
        gap = tree.rewards.amax(-1) - evaluate_tree(tree, logprobs).values[0].squeeze(-1)
        gaps.append(gap)
        constants.append(constant)
        bounds.append(tree_gradient(tree, logits).norm(dim=-1) / constant)
    gap, bound, constant = (torch.cat(parts) for parts in (gaps, bounds, constants))
    real = gap > 1e-9
    ratio = gap[real] / bound[real]
    return Outcome(
        verdict="holds" if float(ratio.max()) <= 1 + 1e-9 else "does not hold",
        figures={
            "trees": len(gap),
            "largest gap / bound": float(ratio.max()),
            "median gap / bound": float(ratio.median()),
            "share of trees where the bound says anything (< 1)": float((bound < 1).double().mean()),
            "log10 of C for an answer of 1000 tokens at 0.9 each": 1000 * math.log10(0.9) - 0.5 * math.log10(1000),
        },
        seeds=(0,),
        plots=(_plot(bound, gap),),
        remarks=(
            "C is the probability the policy gives to one best answer. It is exponentially small in the length of the "
            "answer, so the bound describes a direction (a small gradient is bad news only for answers that are "
            "already unlikely), not a size."
        ),
    )


def _best_answer_probability(tree: PrefixTree, logprobs: Levels) -> Tensor:
    # Of several best answers the likeliest gives the largest C. The reach of an answer falls with every token, so
    # the least P(s_h) pi(a*_h|s_h) along the way is the last one, the probability of the whole answer.
    total = torch.zeros(tree.prompts, 1, dtype=torch.float64)
    for level in logprobs:
        total = (total.unsqueeze(-1) + level).flatten(1)
    return total.masked_fill(~tree.optimal, -torch.inf).amax(-1).exp()


def _plot(bound: Tensor, gap: Tensor) -> Plot:
    few = slice(None, None, max(1, len(gap) // 1500))
    shown = (gap[few] > 1e-3) & (bound[few] < 1e6)
    edge = [1e-3, 1.0]
    points = Series(name="random tree", x=bound[few][shown].tolist(), y=gap[few][shown].tolist(), points=True)
    return Plot(
        title="The bound on what is lost, and what is lost",
        x_label="bound: gradient norm / C",
        y_label="V* - V",
        series=(points, Series(name="equal", x=edge, y=edge, reference=True)),
        log_x=True,
        log_y=True,
    )


CLAIM = Claim(
    name="suboptimality_bound",
    statement="A policy whose gradient has norm eps loses at most eps / C against the optimum.",
    source="Shen, arXiv 2509.03493, Proposition 1 (ii); the paper's C was not seen, the one here is derived above.",
    check=check,
    topic="theory",
)

if __name__ == "__main__":
    main(CLAIM)
